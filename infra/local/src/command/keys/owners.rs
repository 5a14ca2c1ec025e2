//! Whose each key is, as far as a deployment's table says: the programme of the grant that Bursar made it for, or the one that an
//! admin gave it to.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::id::{DeploymentId, KeyName};
use bursar_core::store::Table;

/// The owners of keys.
pub(super) struct Owners {
    /// `None` where no function has run yet.
    deployment: Option<DeploymentId>,
    /// The programmes that own foreign keys, by hash.
    assigned: HashMap<String, String>,
}

impl Owners {
    pub(super) async fn read(table: &Table) -> Result<Owners> {
        let unreadable =
            || format!("the table {} cannot be read: are the AWS credentials of its account set?", table.name());
        let meta = table.known_meta().await.with_context(unreadable)?;
        if let Some(meta) = meta.as_ref().filter(|meta| table.is_copy(meta)) {
            bail!("the table {} is a copy of {}, so its owners may be old: name that one", table.name(), meta.table);
        }
        let owners = table.key_owners().await.with_context(unreadable)?;
        let assigned = owners.into_iter().map(|owner| (owner.key.to_string(), owner.owner.to_string())).collect();
        Ok(Owners { deployment: meta.map(|meta| meta.deployment), assigned })
    }

    /// The programme that has this key, if any has.
    pub(super) fn of(&self, hash: &str, name: &str) -> Option<String> {
        let of_grant = || {
            let name =
                name.parse::<KeyName>().ok().filter(|name| Some(&name.deployment) == self.deployment.as_ref())?;
            Some(name.programme.to_string())
        };
        self.assigned.get(hash).cloned().or_else(of_grant)
    }
}
