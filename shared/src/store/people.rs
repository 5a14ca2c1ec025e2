//! People: the identity of an address, which is its rosters, its roles and the id by which the
//! audit names the person; their sign-in, and rate limits. [`sign_in`](crate::domain::sign_in)
//! decides what is valid for an address. Each decision is one conditional write, so of many
//! requests with one link one signs in.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::mail::kind::OptionalMail;
use crate::domain::programme::Programme;
use crate::domain::programme::role::{Role, Roles};
use crate::domain::sign_in::{Asker, LOGIN_REQUEST_LASTS, LinkRefused, LiveLink, Session, SignIn};
use crate::domain::sign_on::{Identity, SignOnBinding};
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::{PersonId, ProgrammeId, new_ulid};
use crate::domain::values::partition::address_partition;
use crate::domain::values::token::{LinkTokenHash, SessionTokenHash};
use crate::schema::{Range, Stored, begin, key, stored};
use crate::store::table::collect_reads;
use crate::store::table::write::{Round, Transaction, Unaudited, Writes, instant, number, text};
use crate::store::{AccessEntry, Enrolment, OutboxRow, QueuedMail, Result, Table, Undeliverable};

/// The most link mails that one deployment sends in a minute, whoever asks.
const LINKS_A_MINUTE: u32 = 2_000;
const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);
const AN_HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Somebody with a role. Audit entries and queued mails hold only the id; this item alone says
/// whose it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StaffPerson {
    pub person: PersonId,
    pub address: EmailAddress,
}

stored! {
    StaffPerson (person: &PersonId) => key(format!("N#{person}"), "N")
}

/// What is kept of an address: the id of its person, once they needed one, and their choice of the
/// optional mails.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KnownAddress {
    pub address: MatchedAddress,
    pub person: Option<PersonId>,
    pub digest: bool,
    pub reminders: bool,
    /// Who at the campus' provider signs on as it.
    pub bound: Option<Identity>,
    /// Every change increases it; zero before the first.
    pub version: u64,
}

stored! {
    KnownAddress (address: &MatchedAddress) => key(address_partition(address), "ADDRESS")
}

/// The person of an address that is on a roster or in settings.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPerson {
    /// The address as the roster or the settings spell it, to which mail goes.
    pub address: EmailAddress,
    /// Whether the console has anything for them.
    pub has_role: bool,
}

/// The address of a link. Whether the link is still valid is in the address's own item.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    pub link: LinkTokenHash,
    pub address: MatchedAddress,
    pub ends_at: Moment,
}

stored! {
    Link (link: &LinkTokenHash) => key(format!("L#{}", link.as_str()), "L");
    expires |link| link.ends_at
}

/// A login request, whether or not the address is known, which the help desk finds under it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginRequest {
    pub id: Ulid,
    pub address: MatchedAddress,
    #[serde(flatten)]
    pub asker: Asker,
    pub asked_at: Moment,
}

stored! {
    LoginRequest |request| (address: &MatchedAddress, id: Ulid = request.id) => key(address_partition(address), format!("LOGIN#{id}"));
    list of_address(address: &MatchedAddress) => begin(address_partition(address), "LOGIN#");
    expires |request| request.asked_at + LOGIN_REQUEST_LASTS
}

/// The uses in the last hour of what may be done only so often in any hour.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HourlyUses {
    pub what: String,
    pub uses: Vec<Moment>,
    /// Every change increases it; zero before the first.
    pub version: u64,
}

stored! {
    HourlyUses (what: &str) => key(format!("RATE#{what}"), "HOUR");
    expires |hourly_uses| hourly_uses.uses.iter().max().map(|last| *last + AN_HOUR)
}

impl HourlyUses {
    pub fn none(what: &str, programme: &ProgrammeId) -> HourlyUses {
        HourlyUses {
            what: format!("{what}#{programme}"),
            uses: Vec::new(),
            version: 0,
        }
    }
}

/// How long the links of a minute are known: those of 24 hours use up their share of the mail
/// server's quota.
pub(crate) const LINKS_COUNTED: SignedDuration = SignedDuration::from_hours(25);

/// The uses of something with a rate limit in one interval.
#[derive(Debug, Serialize, Deserialize)]
pub struct RateCount {
    pub what: String,
    pub begins_at: Moment,
    pub ends_at: Moment,
    #[serde(default)]
    pub count: u32,
    /// Of how many links the mail server has said what became of them.
    pub heard_of: Option<u32>,
}

stored! {
    RateCount |tally| (what: &str, begins_at: Moment = tally.begins_at) => key(format!("RATE#{what}"), format!("{:012}", begins_at.as_second()));
    expires |tally| tally.ends_at
}

impl RateCount {
    /// The links of the minute in which this moment lies.
    pub fn new_for_links(now: Moment) -> RateCount {
        let begins = now.as_second().div_euclid(A_MINUTE.as_secs()) * A_MINUTE.as_secs();
        let begins = Moment::from_second(begins).unwrap_or(now);
        RateCount {
            what: "links".to_owned(),
            begins_at: begins,
            ends_at: begins + LINKS_COUNTED,
            count: 0,
            heard_of: None,
        }
    }
}

/// What came of the write that begins a session.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SessionOutcome {
    Begun,
    /// Another writer changed meanwhile what it rests on.
    Changed,
    /// The address, or who signs on as it, is bound to another one.
    BoundOtherwise,
}

impl KnownAddress {
    /// Without a choice people get all optional mails.
    pub fn wants(&self, mail: OptionalMail) -> bool {
        match mail {
            OptionalMail::Digest => self.digest,
            OptionalMail::Reminder => self.reminders,
        }
    }
}

impl Table {
    pub async fn known(&self, address: &MatchedAddress) -> Result<Option<KnownPerson>> {
        let (admins, roles, enrolments) = tokio::try_join!(
            self.admins(),
            self.list(Roles::of_address(address)),
            self.list(Enrolment::of_address(address))
        )?;
        if let Some(address) = admins.into_iter().find(|admin| admin.matched() == address) {
            return Ok(Some(KnownPerson {
                address,
                has_role: true,
            }));
        }
        if let Some(Roles { address, .. }) = roles.into_iter().find(Roles::is_staff) {
            return Ok(Some(KnownPerson {
                address,
                has_role: true,
            }));
        }
        for Enrolment {
            programme, grant, ..
        } in enrolments
        {
            if let Some(grant) = self.get(Grant::key_of(&programme, &grant)).await? {
                return Ok(Some(KnownPerson {
                    address: grant.person.address,
                    has_role: false,
                }));
            }
        }
        Ok(None)
    }

    /// The programmes that this person has a role on, with the role, in the order of their ids.
    pub async fn programmes_of(
        &self,
        address: &MatchedAddress,
        is_admin: bool,
    ) -> Result<Vec<(Programme, Role)>> {
        let programmes = if is_admin {
            self.list(Programme::all()).await?
        } else {
            let staff = self
                .list(Roles::of_address(address))
                .await?
                .into_iter()
                .filter(Roles::is_staff);
            self.programmes_by_id(&staff.map(|roles| roles.programme).collect::<Vec<_>>())
                .await?
        };
        let with_roles = programmes.into_iter().filter_map(|programme| {
            let role = Role::find(address, &programme.settings, is_admin)?;
            Some((programme, role))
        });
        Ok(with_roles.collect())
    }

    pub async fn address_record(&self, address: &MatchedAddress) -> Result<KnownAddress> {
        let kept = self.get(KnownAddress::key_of(address)).await?;
        Ok(kept.unwrap_or_else(|| KnownAddress {
            address: address.clone(),
            person: None,
            digest: true,
            reminders: true,
            bound: None,
            version: 0,
        }))
    }

    pub async fn person_of(&self, address: &EmailAddress, deadline: Deadline) -> Result<PersonId> {
        self.carry_through(deadline, || async {
            let before = self.address_record(address.matched()).await?;
            if let Some(person) = before.person {
                return Ok(Round::Over(person));
            }
            let person = PersonId::random();
            let named = StaffPerson {
                person: person.clone(),
                address: address.clone(),
            };
            let after = KnownAddress {
                person: Some(person.clone()),
                version: before.version + 1,
                ..before
            };
            let transaction = self.transaction().replace(&after)?.create(&named)?;
            Ok(Round::Write(
                transaction.skip_audit(Unaudited::PersonId),
                person,
            ))
        })
        .await
    }

    pub async fn choose_mails(
        &self,
        address: &MatchedAddress,
        digest: Option<bool>,
        reminders: Option<bool>,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let was = self.address_record(address).await?;
            let digest = digest.unwrap_or(was.digest);
            let reminders = reminders.unwrap_or(was.reminders);
            if (digest, reminders) == (was.digest, was.reminders) {
                return Ok(Round::Over(()));
            }
            let chosen = KnownAddress {
                digest,
                reminders,
                version: was.version + 1,
                ..was
            };
            Ok(Round::Write(
                self.transaction()
                    .replace(&chosen)?
                    .skip_audit(Unaudited::MailChoice),
                (),
            ))
        })
        .await
    }

    /// The ids of several people, each once: two spellings may be one person.
    pub async fn people_of(
        &self,
        addresses: &[EmailAddress],
        deadline: Deadline,
    ) -> Result<Vec<PersonId>> {
        let mut people = Vec::new();
        for address in addresses {
            let person = self.person_of(address, deadline).await?;
            if !people.contains(&person) {
                people.push(person);
            }
        }
        Ok(people)
    }

    /// The mark of an address that mail bounces from or whose owner complained, while it holds.
    pub async fn undeliverable(
        &self,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<Option<Undeliverable>> {
        let mark: Option<Undeliverable> = self.get(Undeliverable::key_of(address)).await?;
        Ok(mark.filter(|mark| mark.holds(now)))
    }

    /// Records a login request, in the same way for every address. Whether it leads to a mail is
    /// for the mail function; those for unknown addresses never fill its queue.
    pub async fn request_link(
        &self,
        address: &MatchedAddress,
        asker: Asker,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let request = LoginRequest {
            id: new_ulid(now),
            address: address.clone(),
            asker,
            asked_at: now,
        };
        self.put_new(&request, deadline).await.map(drop)
    }

    /// Queues the mail of a login request, once: the row has its id.
    pub async fn owe_link(
        &self,
        request: &LoginRequest,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let mail = QueuedMail::Link {
            address: request.address.clone(),
            asker: request.asker.clone(),
        };
        let row = OutboxRow {
            row: request.id,
            written_at: request.asked_at,
            ..OutboxRow::queued(mail, now)
        };
        self.put_new(&row, deadline).await.map(drop)
    }

    pub async fn sign_in_of(&self, address: &MatchedAddress) -> Result<SignIn> {
        let kept = self.get(SignIn::key_of(address)).await?;
        Ok(kept.unwrap_or_else(|| SignIn::none(address.clone())))
    }

    /// Makes a link valid because of a login request, unless its address or the deployment has
    /// reached its limit.
    pub async fn make_link(
        &self,
        login_request: Ulid,
        address: &MatchedAddress,
        link: &LiveLink,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Result<(), LinkRefused>> {
        self.carry_through(deadline, || async {
            let before = self.sign_in_of(address).await?;
            let after = match before.with_link(login_request, link.clone(), now) {
                Ok(after) => after,
                Err(not) => return Ok(Round::Over(Err(not))),
            };
            let stored_link = Link {
                link: link.link.clone(),
                address: address.clone(),
                ends_at: link.ends_at,
            };
            let mut transaction = self
                .transaction()
                .with_sign_in(&before, &after)?
                .remove_ended(&before, &after)?;
            if !before.is_again(login_request) {
                let none = RateCount::new_for_links(now);
                let tally = self.get(none.key()).await?.unwrap_or(none);
                if tally.count >= LINKS_A_MINUTE {
                    return Ok(Round::Over(Err(LinkRefused::NextMinute)));
                }
                transaction = transaction.count_one(&tally, "#count", LINKS_A_MINUTE)?;
            }
            Ok(Round::Write(
                transaction
                    .create(&stored_link)?
                    .skip_audit(Unaudited::SignIn),
                Ok(()),
            ))
        })
        .await
    }

    /// The links of each minute with any, from the one moment's to the other's.
    pub async fn links_between(&self, from: Moment, until: Moment) -> Result<Vec<RateCount>> {
        self.list(Range::between(
            RateCount::new_for_links(from).key(),
            RateCount::new_for_links(until).key(),
        ))
        .await
    }

    /// Counts a wrong code without another version, so that whoever types such keeps nobody from
    /// following a link; by the same write for an address that is known and for one that is not.
    /// Returns `false` when somebody else was faster.
    pub async fn count_wrong_code(
        &self,
        before: &SignIn,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let after = before.with_wrong_code(now);
        let counted = if before.version == 0 {
            self.transaction().create(&after)?
        } else {
            let unchanged = format!("{SIGN_IN_AS_READ} AND wrong_codes = :was");
            let [generation, version] = values_as_read(before);
            self.transaction().put(
                &after,
                &unchanged,
                &[generation, version, (":was", number(before.wrong_codes))],
            )?
        };
        self.commit_once(counted.skip_audit(Unaudited::SignIn), deadline)
            .await
    }

    /// Creates the session of a sign-in, in the same write that uses its links and codes up, and
    /// tells of it if it has a role. With a binding it binds a sign-on.
    pub async fn sign_in(
        &self,
        before: &SignIn,
        after: &SignIn,
        session: &Session,
        (access, binding): (Option<&AccessEntry>, Option<&SignOnBinding>),
        deadline: Deadline,
    ) -> Result<SessionOutcome> {
        let mut after = after.clone();
        after.add_session(session);
        let transaction = self
            .transaction()
            .with_sign_in(before, &after)?
            .remove_ended(before, &after)?;
        let mut transaction = transaction.create(session)?;
        if let Some(access) = access {
            transaction = transaction.create(access)?;
        }
        let transaction = match binding {
            Some(binding) => self.with_binding(transaction, binding, session).await?,
            None => Some(transaction.skip_audit(Unaudited::SignIn)),
        };
        let Some(transaction) = transaction else {
            return Ok(SessionOutcome::BoundOtherwise);
        };
        let is_written = self.commit_once(transaction, deadline).await?;
        Ok(if is_written {
            SessionOutcome::Begun
        } else {
            SessionOutcome::Changed
        })
    }

    /// The session, if it is good. Its address may be signing out, so what differs is read once
    /// more.
    pub async fn session(
        &self,
        session: &SessionTokenHash,
        now: Moment,
    ) -> Result<Option<Session>> {
        for _ in 0..2 {
            let Some(kept) = self.get(Session::key_of(session)).await? else {
                return Ok(None);
            };
            if !kept.is_good(now) {
                return Ok(None);
            }
            let sign_in = self.get(SignIn::key_of(&kept.address)).await?;
            if sign_in.is_some_and(|sign_in| sign_in.generation == kept.generation) {
                return Ok(Some(kept));
            }
        }
        Ok(None)
    }

    /// Records that a session is in use. A session that was ended meanwhile stays ended.
    pub async fn note_use(&self, session: &Session, now: Moment, deadline: Deadline) -> Result<()> {
        let key = Session::key_of(&session.session);
        self.single()
            .update(
                &key,
                "SET used_at = :now",
                "attribute_exists(pk)",
                &[(":now", instant(now))],
            )?
            .write(deadline)
            .await
            .map(drop)
    }

    pub async fn sessions_of(&self, address: &MatchedAddress, now: Moment) -> Result<Vec<Session>> {
        let listed = self.sign_in_of(address).await?.sessions;
        collect_reads(
            listed
                .iter()
                .map(|listed| self.session(&listed.session, now)),
        )
        .await
    }

    /// Ends a session, and tells of it if it has a role.
    pub async fn sign_out(
        &self,
        session: &Session,
        access: Option<&AccessEntry>,
        deadline: Deadline,
    ) -> Result<()> {
        let transaction = self
            .transaction()
            .remove(&Session::key_of(&session.session), "", &[])?;
        let transaction = access
            .into_iter()
            .try_fold(transaction, Transaction::create)?;
        self.commit_once(transaction.skip_audit(Unaudited::SignIn), deadline)
            .await
            .map(drop)
    }

    /// Ends every session of an address, and tells of it if it has a role.
    pub async fn sign_out_everywhere(
        &self,
        address: &MatchedAddress,
        access: Option<&AccessEntry>,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let mut transaction = self.sign_out_all(self.transaction(), address, now).await?;
            if let Some(access) = access {
                transaction = transaction.create(access)?;
            }
            Ok(Round::Write(transaction.skip_audit(Unaudited::SignIn), ()))
        })
        .await
    }

    /// Ends every session, link and code of an address, in the transaction that is the reason: one
    /// write, however many there are. A sign-in that is under way fails too.
    pub(crate) async fn sign_out_all(
        &self,
        transaction: Transaction,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<Transaction> {
        let sign_in = self.sign_in_of(address).await?;
        transaction.with_sign_in(&sign_in, &sign_in.sign_out_all(now))
    }

    /// Notes one more use of what is allowed so often in any hour. Where it is too early, returns
    /// the time from which it is not.
    pub async fn use_hourly(
        &self,
        what: &str,
        programme: &ProgrammeId,
        most: usize,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Result<(), Moment>> {
        let initial = HourlyUses::none(what, programme);
        self.carry_through(deadline, || async {
            let mut hourly_uses = self
                .get(initial.key())
                .await?
                .unwrap_or_else(|| initial.clone());
            hourly_uses.uses.retain(|used_at| now < *used_at + AN_HOUR);
            if hourly_uses.uses.len() >= most {
                let first = hourly_uses.uses.iter().min().copied().unwrap_or(now);
                return Ok(Round::Over(Err(first + AN_HOUR)));
            }
            hourly_uses.uses.push(now);
            hourly_uses.version += 1;
            Ok(Round::Write(
                self.transaction()
                    .replace(&hourly_uses)?
                    .skip_audit(Unaudited::Rate),
                Ok(()),
            ))
        })
        .await
    }
}

/// That the state of an address' sign-in is what was read.
const SIGN_IN_AS_READ: &str = "generation = :generation AND version = :version";

fn values_as_read(before: &SignIn) -> [(&'static str, AttributeValue); 2] {
    [
        (":generation", text(before.generation.as_str())),
        (":version", number(before.version)),
    ]
}

impl Transaction {
    /// Counts one more in this attribute of a tally, unless that has reached `most` meanwhile.
    pub(crate) fn count_one(
        self,
        tally: &RateCount,
        attribute: &str,
        most: u32,
    ) -> Result<Transaction> {
        let values = [
            (":kind", text(RateCount::KIND)),
            (":what", text(&tally.what)),
            (":begins_at", instant(tally.begins_at)),
            (":ends_at", instant(tally.ends_at)),
            (":ttl", number(tally.ends_at.as_second())),
            (":one", number(1)),
            (":most", number(most)),
        ];
        let counted = "SET #kind = :kind, what = :what, begins_at = :begins_at, ends_at = :ends_at, #ttl = :ttl";
        let counted = format!("{counted} ADD {attribute} :one");
        let condition = format!("attribute_not_exists({attribute}) OR {attribute} < :most");
        self.update(&tally.key(), &counted, &condition, &values)
    }

    /// Writes the state of an address' sign-in over the one that was read, or where none was.
    pub(crate) fn with_sign_in(self, before: &SignIn, after: &SignIn) -> Result<Transaction> {
        if before.version == 0 {
            return self.create(after);
        }
        self.put(after, SIGN_IN_AS_READ, &values_as_read(before))
    }

    /// Removes the links and sessions that the state of an address' sign-in does not name any more:
    /// some fifty at most.
    fn remove_ended(mut self, before: &SignIn, after: &SignIn) -> Result<Transaction> {
        for link in before
            .issued_links
            .iter()
            .filter(|link| !after.issued_links.contains(link))
        {
            self = self.remove(&Link::key_of(&link.link), "", &[])?;
        }
        for begun in before
            .sessions
            .iter()
            .filter(|begun| !after.sessions.contains(begun))
        {
            self = self.remove(&Session::key_of(&begun.session), "", &[])?;
        }
        Ok(self)
    }

    /// Takes the state of an address' sign-in away, as it was read.
    pub(crate) fn remove_sign_in(self, before: &SignIn) -> Result<Transaction> {
        if before.version == 0 {
            return Ok(self);
        }
        self.remove(
            &SignIn::key_of(&before.address),
            SIGN_IN_AS_READ,
            &values_as_read(before),
        )
    }
}
