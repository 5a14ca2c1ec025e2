//! The bill of materials of a function, as CycloneDX 1.6: every crate with its licence and the hash of what the registry gave
//! out. It says nothing that another build of the same commit would not say.

use anyhow::Result;
use serde_json::{Value, json};

use super::archive::sha256;
use super::build::TOOLCHAIN;
use super::crates::{CrateId, Crates, Parts};

/// The bill as the text of a file.
pub(super) fn of(crates: &Crates, parts: &Parts<'_>) -> Result<String> {
    let mut components = Vec::new();
    for (id, features) in &parts.linked {
        let mut component = component(crates, id, "library")?;
        component["scope"] = "required".into();
        let of_each = features.iter().map(|feature| json!({ "name": "cargo:feature", "value": feature }));
        component["properties"] = Value::Array(of_each.collect());
        components.push(component);
    }
    components.push(json!({
        "type": "library", "name": "rust-std", "version": TOOLCHAIN, "bom-ref": standard_library(), "scope": "required",
        "purl": standard_library(), "licenses": [{ "expression": "Apache-2.0 OR MIT" }],
    }));
    for id in &parts.build_only {
        let mut component = component(crates, id, "library")?;
        component["scope"] = "excluded".into();
        components.push(component);
    }
    let dependencies = parts.calls_for.iter().map(|(id, of)| {
        let mut on: Vec<String> = of.iter().map(|id| url(id)).collect();
        if **id == parts.function {
            on.push(standard_library());
        }
        json!({ "ref": url(id), "dependsOn": on })
    });
    let mut bill = json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": { "component": component(crates, &parts.function, "application")? },
        "components": components,
        "dependencies": dependencies.collect::<Vec<_>>(),
    });
    bill["serialNumber"] = serial_number(&bill).into();
    Ok(format!("{}\n", serde_json::to_string_pretty(&bill)?))
}

fn component(crates: &Crates, id: &CrateId, kind: &str) -> Result<Value> {
    let about = crates.about(id)?;
    let mut component = json!({
        "type": kind, "name": id.name, "version": id.version, "bom-ref": url(id), "purl": url(id),
        "licenses": [{ "expression": about.licence }],
    });
    if let Some(checksum) = &about.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    Ok(component)
}

/// The package URL, which names a crate in every bill.
fn url(id: &CrateId) -> String {
    format!("pkg:cargo/{}@{}", id.name, id.version.replace('+', "%2B"))
}

fn standard_library() -> String {
    format!("pkg:generic/rust-std@{TOOLCHAIN}")
}

/// A UUID of the content, so that the same bill has the same number and another has another.
fn serial_number(bill: &Value) -> String {
    let hash = sha256(bill.to_string().as_bytes());
    // Version 8 is one whose bits are the maker's own, and `8` is the variant of the standard.
    format!("urn:uuid:{}-{}-8{}-8{}-{}", &hash[..8], &hash[8..12], &hash[13..16], &hash[17..20], &hash[20..32])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bill_has_the_same_number() {
        let number = serial_number(&json!({ "components": [1] }));
        assert_eq!(number, serial_number(&json!({ "components": [1] })));
        assert_ne!(number, serial_number(&json!({ "components": [2] })));
        let parts: Vec<usize> = number.trim_start_matches("urn:uuid:").split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{number}");
    }

    #[test]
    fn a_version_with_a_plus_is_escaped_in_a_package_url() {
        let id = CrateId { name: "zstd-sys".to_owned(), version: "2.0.1+zstd.1".to_owned() };
        assert_eq!(url(&id), "pkg:cargo/zstd-sys@2.0.1%2Bzstd.1");
    }
}
