//! Moving money from this programme's pot to another's.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::{ProgrammeId, new_ulid};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Author, MoneyMove, MoveOutcome, SeenPot};
use bursar_core::web::{Answer, Fault, Fields, RequestDeadline, Site};
use futures_util::future::try_join_all;
use jiff::Timestamp;

use crate::access::{self, Form, ProgrammeAccess, ProgrammeAdmins};
use crate::overview::{self, PageState};
use crate::paths;

/// The form that moves money, as it is shown or was posted.
pub(crate) struct MoveForm {
    /// The marks of this programme's pot and of those that money can go to, as they were when the form was made.
    pub(crate) version: String,
    pub(crate) to_version: String,
    /// The programmes to choose from: id and name.
    pub(crate) choices: Vec<(String, String)>,
    pub(crate) typed: TypedMove,
    /// The id of this form, which moves money once.
    pub(crate) form: String,
}

/// What was typed, with what is wrong with it.
#[derive(Default)]
pub(crate) struct TypedMove {
    pub(crate) to: String,
    pub(crate) amount: String,
    pub(crate) to_error: Option<String>,
    pub(crate) amount_error: Option<String>,
    /// What both budgets were and are, where the form was made from others.
    pub(crate) stale: Option<String>,
}

impl MoveForm {
    /// The form on the page of a programme.
    pub(crate) async fn of(
        site: &Site,
        programme: &Programme,
        pot: Usd,
        typed: TypedMove,
        now: Timestamp,
    ) -> Result<MoveForm, Fault> {
        let mut others = site.table.programmes().await?;
        others.retain(|other| other.id != programme.id && other.closed_at.is_none());
        let pots = try_join_all(others.iter().map(|other| site.table.pot(&other.id))).await?;
        let (mut choices, mut marks) = (Vec::new(), Vec::new());
        for (other, pot) in others.into_iter().zip(pots) {
            let Some(pot) = pot else { continue };
            marks.push(format!("{}:{}", other.id, overview::version(&other, pot.limit)));
            choices.push((other.id.to_string(), other.settings.name));
        }
        let (version, to_version) = (overview::version(programme, pot), marks.join(" "));
        Ok(MoveForm { version, to_version, choices, typed, form: new_ulid(now).to_string() })
    }
}

pub(crate) async fn move_money(
    State(site): State<Site>,
    RequestDeadline(deadline): RequestDeadline,
    Form { access, fields }: Form<ProgrammeAdmins>,
) -> Answer {
    let mut typed = TypedMove::of(&fields);
    let Some(moved) = typed.read(&access.programme.id, &fields) else {
        return again(&site, &access, typed, StatusCode::UNPROCESSABLE_ENTITY).await;
    };
    let Some(moved) = moved else {
        let why = "The form did not say which state of the two budgets it was made from.";
        return Ok(site.refuse(StatusCode::UNPROCESSABLE_ENTITY, "Nothing was moved", why));
    };
    let actor = access::actor(&site, &access.visitor, deadline).await?;
    let by = Author { actor: &actor, now: site.clock.now(), deadline };
    match site.table.move_money(&moved, by).await? {
        MoveOutcome::Done => Ok(Redirect::to(&paths::programme(&access.programme.id)).into_response()),
        MoveOutcome::PotTooSmall { left, reserved } => {
            typed.amount_error = Some(format!(
                "That would leave {}, and {} is held for keys here: what they spent, and what they may still spend.",
                left.to_cents_down(),
                reserved.to_cents_up()
            ));
            again(&site, &access, typed, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        MoveOutcome::Stale => {
            let (Some((programme, here)), Some((_, there))) =
                (now_and_then(&site, &moved.from).await?, now_and_then(&site, &moved.to).await?)
            else {
                return Ok(site.not_found());
            };
            typed.stale = Some(format!(
                "Nothing was moved: one of the two programmes was edited meanwhile. {here} {there} Move again if it is still right."
            ));
            let access = ProgrammeAccess { programme, ..access };
            again(&site, &access, typed, StatusCode::CONFLICT).await
        }
        MoveOutcome::NoSuchProgramme => {
            typed.to_error = Some(NO_SUCH.to_owned());
            again(&site, &access, typed, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

const NO_SUCH: &str = "Choose a programme of the list.";

async fn again(site: &Site, access: &ProgrammeAccess, typed: TypedMove, status: StatusCode) -> Answer {
    overview::show(site, access, PageState::moving(typed), status).await
}

/// A programme as it is, and a sentence with what its budget was when the form was made and what it is.
async fn now_and_then(site: &Site, seen: &SeenPot) -> Result<Option<(Programme, String)>, Fault> {
    let (programme, pot) = tokio::try_join!(site.table.programme(&seen.programme), site.table.pot(&seen.programme))?;
    Ok(programme.zip(pot).map(|(programme, pot)| {
        let (name, was, is) = (&programme.settings.name, seen.limit.to_cents_down(), pot.limit.to_cents_down());
        let sentence = match was == is {
            true => format!("The budget of {name} is {is} as before."),
            false => format!("The budget of {name} was {was} and is {is} now."),
        };
        (programme, sentence)
    }))
}

impl TypedMove {
    pub(crate) fn is_refused(&self) -> bool {
        self.to_error.is_some() || self.amount_error.is_some() || self.stale.is_some()
    }

    fn of(fields: &Fields) -> TypedMove {
        let text = |name| fields.get(name).unwrap_or_default().trim().to_owned();
        TypedMove { to: text("to"), amount: text("amount_usd"), ..TypedMove::default() }
    }

    /// The move that is asked for. `None` where a field is refused, and within it where the form is not whole.
    fn read(&mut self, from: &ProgrammeId, fields: &Fields) -> Option<Option<MoneyMove>> {
        let to: Option<ProgrammeId> = self.to.parse().ok().filter(|to| to != from);
        if to.is_none() {
            self.to_error = Some(NO_SUCH.to_owned());
        }
        let amount = match Usd::from_form(&self.amount) {
            Ok(amount) if amount > Usd::ZERO => Some(amount),
            Ok(_) => None,
            Err(error) => {
                self.amount_error = Some(format!("Refused: {error}."));
                None
            }
        };
        if amount.is_none() {
            self.amount_error.get_or_insert_with(|| "Write an amount above zero.".to_owned());
        }
        let (to, amount) = to.zip(amount)?;
        let seen = fields.filled("version").and_then(|mark| seen_pot(from, mark));
        let marks = fields.filled("to_version").unwrap_or_default();
        let marked = marks.split(' ').filter_map(|marked| marked.rsplit_once(':')).find(|(id, _)| *id == to.as_str());
        let Some((_, mark)) = marked else {
            self.to_error = Some(NO_SUCH.to_owned());
            return None;
        };
        let form = fields.filled("form").and_then(|form| form.parse().ok());
        Some(seen.zip(seen_pot(&to, mark)).map(|(from, to)| MoneyMove { from, to, amount, form }))
    }
}

/// The pot that a version names.
fn seen_pot(programme: &ProgrammeId, mark: &str) -> Option<SeenPot> {
    let (version, micros) = mark.split_once('-')?;
    let limit = Usd::from_micros(micros.parse().ok()?);
    Some(SeenPot { programme: programme.clone(), version: version.parse().ok()?, limit })
}
