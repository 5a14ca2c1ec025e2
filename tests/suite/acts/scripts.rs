//! Scripts of the parts in a history, one act after the other. Each asks for an act at once, and goes on by its
//! answer.

use bursar_core::domain::grant::{
    AttemptFailure, Grant, HoldKind, MintedKey, Order, OrderKind, Press, PressKind, SentLimit, Stopped,
};
use bursar_core::domain::values::id::{GrantId, Nonce};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Lease;

use super::act::{Act, Ended, LEASE, programme};
use super::histories::Part;
use super::settings::{ada, bob, found, key_of, reading, settings};

#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    /// The whole claim, twice.
    Claims(PressKind),
    /// A claim for which the provider made no key, or gave no clear answer.
    Fails(PressKind, AttemptFailure),
    /// The claim of another person in the programme.
    ClaimsElsewhere,
    HoldsAndReleases(HoldKind),
    /// A hold for disuse until the place is given back, and then a use of the key.
    GoesOutOfUse,
    Leaks,
    Allows,
    Revokes,
    Sweeps,
    /// The sync's acts on a key that is not in the state it should be in.
    Drifts,
    Recovers,
    FollowsRules,
    ClosesAndEnds,
    ChangesTheCap,
    EditsTheCap,
    ChangesThePot,
    /// The runner that reads every key.
    Reads,
    /// The runner that confirms every ordered disable.
    Works,
}

impl Script {
    pub(super) const ALL: [Script; 23] = [
        Script::Claims(PressKind::Reveal),
        Script::Claims(PressKind::Reveal),
        Script::Claims(PressKind::Replace),
        Script::Claims(PressKind::Replace),
        Script::Fails(PressKind::Reveal, AttemptFailure::Unknown),
        Script::Fails(PressKind::Replace, AttemptFailure::Refused),
        Script::ClaimsElsewhere,
        Script::HoldsAndReleases(HoldKind::Paused),
        Script::HoldsAndReleases(HoldKind::Dropped),
        Script::GoesOutOfUse,
        Script::Leaks,
        Script::Allows,
        Script::Revokes,
        Script::Sweeps,
        Script::Drifts,
        Script::Recovers,
        Script::FollowsRules,
        Script::ClosesAndEnds,
        Script::ChangesTheCap,
        Script::EditsTheCap,
        Script::ChangesThePot,
        Script::Reads,
        Script::Works,
    ];

    /// Plays the script. `None` when it could not go on.
    pub(super) async fn play(self, mut part: Part<'_>) -> Option<()> {
        match self {
            Script::Claims(kind) => {
                part.claims(&ada(), kind).await?;
                part.claims(&ada(), kind).await
            }
            Script::ClaimsElsewhere => part.claims(&bob(), PressKind::Reveal).await,
            Script::Fails(kind, how) => {
                let epoch = part.grant().epoch;
                if let Ended::Said(_, Some(begun)) =
                    part.asks(Act::Begin(ada(), Press { kind, epoch, terms: None })).await?
                {
                    part.asks(Act::GiveUp(ada(), begun, how, None)).await?;
                }
                Some(())
            }
            Script::HoldsAndReleases(kind) => {
                for act in [Act::Hold(ada(), kind), Act::Release(ada(), kind)] {
                    let left = part.asks(act).await?;
                    part.carries_out(&ada(), orders(&left)).await?;
                }
                Some(())
            }
            Script::GoesOutOfUse => {
                let held = part.asks(Act::Hold(ada(), HoldKind::Unused)).await?;
                part.carries_out(&ada(), orders(&held)).await?;
                let resumed = part.asks(Act::Release(ada(), HoldKind::Unused)).await?;
                part.carries_out(&ada(), orders(&resumed)).await
            }
            Script::Leaks => {
                let stopped = part.asks(Act::Stop(ada(), Stopped::Leaked)).await?;
                part.carries_out(&ada(), orders(&stopped)).await
            }
            Script::Allows => part.all([Act::Allow(ada())]).await,
            Script::Revokes => {
                let revoked = part.asks(Act::Revoke(ada())).await?;
                part.carries_out(&ada(), orders(&revoked)).await
            }
            Script::Sweeps => {
                let epoch = part.grant().epoch;
                let swept = part.asks(Act::Sweep(ada(), epoch, part.nonce(), key_of(&ada(), epoch))).await?;
                part.carries_out(&ada(), orders(&swept)).await
            }
            Script::Drifts | Script::Recovers | Script::FollowsRules => Box::pin(self.play_the_sync(&mut part)).await,
            Script::ClosesAndEnds => part.all([Act::Close(programme()), Act::End(ada()), Act::End(bob())]).await,
            Script::ChangesTheCap => {
                part.all([90, 6].map(|dollars| Act::SetCap(ada(), Some(Usd::from_dollars(dollars))))).await
            }
            Script::EditsTheCap => {
                let version = part.world().programmes[&programme()].version;
                let mut edited = settings("CS pilot");
                edited.cap = Usd::from_dollars(30);
                part.all([Act::save(edited, version)]).await
            }
            Script::ChangesThePot => {
                part.all([30, 100].map(|dollars| Act::set_pot(&part.world(), Usd::from_dollars(dollars)))).await
            }
            Script::Reads => {
                let lease = part.runs().await?;
                let grant = part.grant();
                let keys = grant.attempts.iter().filter(|attempt| attempt.key.is_some());
                for (attempt, dollars) in keys.zip(6..) {
                    part.asks(Act::Note(reading(&ada(), attempt.epoch, dollars, part.began()))).await?;
                }
                part.all([Act::Renew(lease.clone()), Act::ReleaseLease(lease)]).await
            }
            Script::Works => {
                let lease = part.runs().await?;
                let owed = part.grant().orders();
                part.carries_out(&ada(), owed).await?;
                part.all([Act::ReleaseLease(lease)]).await
            }
        }
    }

    /// The scripts of the sync, apart because one function with all scripts is too large for a test's stack.
    async fn play_the_sync(self, part: &mut Part<'_>) -> Option<()> {
        match self {
            Script::Drifts => {
                let Grant { epoch, version, .. } = part.grant();
                let (key, began) = (key_of(&ada(), epoch), part.began());
                let window = settings("CS pilot").reset.window_at(began);
                let nobodys = Order { epoch, key: key.clone(), kind: OrderKind::Limit, since: began, due: began };
                let ordered = part.grant().orders().into_iter().find(|order| order.kind == OrderKind::Limit);
                let order = ordered.unwrap_or(nobodys);
                let sent = SentLimit { limit: Usd::from_dollars(12), at: began, unanswered_before: None };
                part.all([
                    Act::SendingLimit(ada(), epoch, Usd::from_dollars(50)),
                    Act::LimitConfirmed(ada(), order, sent, window),
                    Act::DisableAgain(ada(), epoch, key.clone()),
                    Act::FoundDisabled(ada(), version + 1, epoch, key.clone()),
                    Act::FoundGone(ada(), version + 2, epoch, key.clone()),
                    Act::Purged(ada(), epoch, key),
                ])
                .await
            }
            Script::Recovers => {
                let grant = part.grant();
                let listed = found(&ada(), grant.epoch, grant.attempts.last());
                let recovered = part.asks(Act::Recover(ada(), listed)).await?;
                part.carries_out(&ada(), orders(&recovered)).await
            }
            Script::FollowsRules => part.all([Act::FollowRules(ada()), Act::FollowRules(ada())]).await,
            _ => Some(()),
        }
    }
}

impl Part<'_> {
    /// The first person's grant as last seen.
    fn grant(&self) -> Grant {
        self.world().grants[&ada()].clone()
    }

    async fn all(&mut self, acts: impl IntoIterator<Item = Act>) -> Option<()> {
        for act in acts {
            self.asks(act).await?;
        }
        Some(())
    }

    async fn claims(&mut self, who: &GrantId, kind: PressKind) -> Option<()> {
        let epoch = self.world().grants[who].epoch;
        let begun = self.asks(Act::Begin(who.clone(), Press { kind, epoch, terms: None })).await?;
        let Ended::Said(_, Some(begun)) = begun else { return Some(()) };
        self.carries_out(who, begun.to_retire.clone()).await?;
        let limit = self.world().view(who).and_then(|view| view.next_limit(self.began())).unwrap_or(Usd::CENT);
        let made = MintedKey { key: key_of(who, begun.epoch), limit, rule_set: None };
        let recorded = self.asks(Act::Record(who.clone(), begun.clone(), made.clone())).await?;
        // A claim that gets no confirmation may not show the key, and leaves it to the sweep.
        if matches!(&recorded, Ended::Said(said, _) if said.starts_with("refused")) {
            self.asks(Act::GiveUp(who.clone(), begun, AttemptFailure::Lost, Some(made.key))).await?;
        }
        Some(())
    }

    /// Records that the provider confirmed these orders.
    async fn carries_out(&mut self, who: &GrantId, orders: Vec<Order>) -> Option<()> {
        self.all(orders.into_iter().map(|order| Act::Confirmed(who.clone(), order))).await
    }

    /// The nonce of the first person's last attempt.
    fn nonce(&self) -> Nonce {
        let nobodys = || "fe00000000000000".parse().unwrap();
        self.grant().attempts.last().map_or_else(nobodys, |attempt| attempt.nonce.clone())
    }

    /// Acquires the runners' lease, which all runners here share, and returns it as last seen.
    async fn runs(&mut self) -> Option<Lease> {
        self.asks(Act::Acquire("one")).await?;
        let nobodys =
            Lease { lease: "jobs".to_owned(), holder: "one".to_owned(), fence: 1, until: self.began() + LEASE };
        Some(self.world().leases.get("jobs").cloned().unwrap_or(nobodys))
    }
}

/// The orders of the grant that an act returned.
fn orders(ended: &Ended) -> Vec<Order> {
    let Ended::Said(said, _) = ended else { return Vec::new() };
    let grant = said.strip_prefix("done: ").map(|left| serde_json::from_str::<Grant>(left).unwrap());
    grant.map_or_else(Vec::new, |grant| grant.orders())
}
