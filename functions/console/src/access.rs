//! Whose page it is: the role of a visitor on a programme. What they may not see is as if it were not there.

use anyhow::Context;
use bursar_core::deadline::Deadline;
use bursar_core::domain::address::EmailAddress;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::id::PersonId;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::role::{Role, is_among};
use bursar_core::web::{Fault, Refused, Site, Visitor, note_refusal};

/// A programme, and what this visitor may do on it.
pub(crate) struct Sight {
    pub(crate) programme: Programme,
    pub(crate) role: Role,
}

/// The programme of this id, if the visitor has at least this role on it.
pub(crate) async fn programme(site: &Site, visitor: &Visitor, id: &str, least: Role) -> Result<Option<Sight>, Fault> {
    let Ok(id) = id.parse() else { return Ok(None) };
    let Some(programme) = site.table.programme(&id).await? else { return Ok(None) };
    let role = Role::of(&visitor.session.address, &programme.settings, &site.admins);
    let sight = role.filter(|role| *role >= least).map(|role| Sight { programme, role });
    if sight.is_none() {
        note_refusal(Refused::Right);
    }
    Ok(sight)
}

pub(crate) fn is_admin(site: &Site, visitor: &Visitor) -> bool {
    is_among(&visitor.session.address, &site.admins)
}

/// Whether what is only for admins may be done; the log knows of whoever else tries.
pub(crate) fn is_let_in_as_admin(site: &Site, visitor: &Visitor) -> bool {
    let is_admin = is_admin(site, visitor);
    if !is_admin {
        note_refusal(Refused::Right);
    }
    is_admin
}

/// How audit entries name the visitor. A session from before its person had a role does not know it.
pub(crate) async fn actor(site: &Site, visitor: &Visitor, deadline: Deadline) -> Result<Actor, Fault> {
    Ok(Actor::Person(person(site, visitor, deadline).await?))
}

/// The visitor's name as one with a role.
pub(crate) async fn person(site: &Site, visitor: &Visitor, deadline: Deadline) -> Result<PersonId, Fault> {
    if let Some(person) = &visitor.session.person {
        return Ok(person.clone());
    }
    let address = EmailAddress::parse(visitor.session.address.as_str()).context("a session without an address")?;
    Ok(site.table.person_of(&address, deadline).await?)
}
