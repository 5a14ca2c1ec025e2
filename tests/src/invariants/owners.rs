//! I15 for foreign keys with an owner: what they used counts for their programme, once and from their day on, and in its pot.

use std::collections::BTreeMap;

use bursar_core::domain::programme::Byok;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::store::OwnedKey;

use super::Step;

/// The pot of each programme has reserved what its foreign keys used. Just after a complete sync that is the sum over its keys;
/// before, the readings of the night may be ahead of it. Owners are of keys and programmes that exist.
pub(super) fn foreign_keys_count_for_their_owners(step: &Step<'_>) -> Vec<String> {
    let now = step.now;
    let mut wrong = Vec::new();
    let mut sums: BTreeMap<&ProgrammeId, (DailyUse, u32)> = BTreeMap::new();
    for owner in &now.key_owners {
        let Some(key) = now.foreign_keys.get(&owner.key).filter(|_| now.programmes.contains_key(&owner.owner)) else {
            wrong.push(format!("{} owns {}, and one of them is not there", owner.owner, owner.key));
            continue;
        };
        let owned = OwnedKey { owner: owner.clone(), key: key.clone() };
        let sum = sums.entry(&owner.owner).or_default();
        sum.0.add(&owned.counted().counted);
        sum.1 += 1;
    }
    for (id, pot) in &now.pots {
        let byok = now.programmes.get(id).map_or(Byok::default(), |programme| programme.settings.byok);
        let (read, keys) = sums.remove(id).unwrap_or_default();
        let counted = now.assigned_uses.get(id);
        let used = counted.map(|counted| counted.used.clone()).unwrap_or_default();
        if counted.map_or(0, |counted| counted.keys) != keys {
            wrong.push(format!("{id} owns {keys} keys, and its sum is of others"));
        }
        if used.counted(byok) != pot.assigned || pot.assigned > pot.reserved {
            wrong.push(format!("of {id} foreign keys used {}, and its pot has {}", used.counted(byok), pot.assigned));
        }
        if used.counted(Byok::Inside) > read.counted(Byok::Inside) || (step.synced && used != read) {
            wrong.push(format!("the foreign keys of {id} used another sum than is counted"));
        }
    }
    wrong
}
