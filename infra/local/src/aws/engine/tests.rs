//! A file that does not fit is refused, with what differs, and stays as it is.

use super::*;

const TABLE: &str = "bursar";

#[test]
fn a_table_of_another_schema_is_refused_with_what_differs() {
    let (schema, mut no_index, mut larger_index) = (create_table(TABLE), create_table(TABLE), create_table(TABLE));
    no_index["AttributeDefinitions"].as_array_mut().unwrap().truncate(2);
    no_index.as_object_mut().unwrap().remove("GlobalSecondaryIndexes");
    larger_index["GlobalSecondaryIndexes"][0]["Projection"]["ProjectionType"] = json!("ALL");
    for (request, ttl, why) in [
        (no_index, TTL, "other attributes"),
        (schema, "expires", "other time to live"),
        (larger_index, TTL, "other indexes"),
        (create_table("another"), TTL, "no table bursar"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.db");
        create(&Database::new(path.to_str().unwrap()).unwrap(), &request, ttl).unwrap();
        let made = fs::read(&path).unwrap();
        let refused = Engine::start(&Place::File(path.clone()), TABLE).err().unwrap();
        assert_eq!(fs::read(&path).unwrap(), made, "the file is as it was");
        let message = format!("{refused:#}");
        assert!(["table.db", "--data", why].iter().all(|part| message.contains(part)), "{message}");
    }
}
