//! The forms of the account's page: of an admin, and of a key made elsewhere.

use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::money::Usd;

use crate::kit::form::{Field, FieldKind, Form, FormValue};
use crate::people::roster::line;

#[derive(Default)]
pub(crate) struct TypedAdmin {
    pub(super) address: Option<EmailAddress>,
}

impl FormValue for TypedAdmin {
    const FIELDS: &'static [Field<TypedAdmin>] = &[Field {
        id: "email",
        label: "University address",
        hint: "They may do everything here from now on. All admins get a mail about it.",
        kind: FieldKind::Address,
        read: |form, typed| line::address(form.text()).map(|address| typed.address = Some(address)),
        ..Field::REQUIRED
    }];
}

pub(super) fn blank() -> Form<TypedAdmin> {
    Form::blank().apart("admin-", "")
}

#[derive(Default)]
pub(crate) struct TypedChange {
    pub(super) limit: Usd,
}

impl FormValue for TypedChange {
    const FIELDS: &'static [Field<TypedChange>] = &[
        Field {
            id: "name",
            label: "The key's name, as it stands above",
            ..Field::OPTIONAL
        },
        Field {
            id: "limit_usd",
            label: "Limit in dollars",
            kind: FieldKind::Money,
            read: |form, typed| match Usd::from_form(form.text()) {
                Ok(limit) if limit < Usd::CENT => {
                    Err("A limit is one cent or more. To stop the key, disable it.".to_owned())
                }
                Ok(limit) => {
                    typed.limit = limit;
                    Ok(())
                }
                Err(error) => Err(format!("The limit: {error}.")),
            },
            ..Field::OPTIONAL
        },
    ];
}

pub(super) fn change_form(key: &KeyHash) -> Form<TypedChange> {
    Form::blank().apart(&format!("{}-", short(key)), "")
}

/// A prefix of the hash, long enough to tell keys apart.
pub(super) fn short(key: &KeyHash) -> &str {
    key.as_str().get(..12).unwrap_or_default()
}
