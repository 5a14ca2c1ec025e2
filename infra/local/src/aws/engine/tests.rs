//! A file that does not fit is refused, with what differs, and stays as it is.

use super::*;
use crate::aws::template::Template;

const TABLE: &str = "bursar";

fn without_indexes(other: &mut TableSchema) {
    other.indexes.clear();
    other.attributes.retain(|name, _| name == "pk" || name == "sk");
}

#[test]
fn a_table_of_another_schema_is_refused_with_what_differs() {
    let cases: [(_, fn(&mut _), _); 4] = [
        (TABLE, without_indexes, "other attributes"),
        (TABLE, |other| other.ttl = "expires".to_owned(), "other time to live"),
        (TABLE, |other| other.indexes.get_mut("due").unwrap().projection = "ALL".to_owned(), "other indexes"),
        ("another", |_| {}, "no table bursar"),
    ];
    for (name, change, why) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.db");
        let schema = Template::bundled().unwrap().table.clone();
        let mut other = schema.clone();
        change(&mut other);
        make_file(&path, name, &other).unwrap();
        let made = fs::read(&path).unwrap();
        let refused = Engine::start(&Place::File(path.clone()), TABLE, &schema).err().unwrap();
        assert_eq!(fs::read(&path).unwrap(), made, "the file is as it was");
        let message = format!("{refused:#}");
        assert!(["table.db", "--data", why].iter().all(|part| message.contains(part)), "{message}");
    }
}
