//! A file that does not fit is refused, and stays as it is.

use super::*;

#[test]
fn another_schema_is_refused_and_left_alone() {
    let schema = create_table("bursar");
    let mut no_index = create_table("bursar");
    let mut larger_index = create_table("bursar");
    no_index["AttributeDefinitions"]
        .as_array_mut()
        .unwrap()
        .truncate(2);
    no_index
        .as_object_mut()
        .unwrap()
        .remove("GlobalSecondaryIndexes");
    larger_index["GlobalSecondaryIndexes"][0]["Projection"]["ProjectionType"] = json!("ALL");
    for (request, ttl) in [
        (no_index, TTL),
        (larger_index, TTL),
        (schema, "expires"),
        (create_table("another"), TTL),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.db");
        create(
            &Database::new(path.to_str().unwrap()).unwrap(),
            &request,
            ttl,
        )
        .unwrap();
        let made = fs::read(&path).unwrap();
        let refused = format!(
            "{:#}",
            Engine::start(&Place::File(path.clone(), Lasts::Killed), "bursar")
                .err()
                .unwrap()
        );
        assert!(
            ["table.db", "data folder"]
                .iter()
                .all(|part| refused.contains(part)),
            "{refused}"
        );
        assert_eq!(fs::read(&path).unwrap(), made);
    }
}
