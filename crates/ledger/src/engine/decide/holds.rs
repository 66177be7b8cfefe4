//! Holds: money set aside until it is captured or released.
//!
//! | a hold that is | captured in part | captured for the last time | voided | over time |
//! |---|---|---|---|---|
//! | pending | pending | captured | voided | expired |
//! | captured | – | – | – | – |
//! | voided | – | – | stays | – |
//! | expired | – | – | – | stays |
//!
//! What is "–" is refused.

use super::checks::{check_shape, check_sums, check_text, check_texts};
use super::postings::{Counted, Movement, Posting, part_of, signed};
use super::{HoldState, NewHoldChange, NewHoldLeg, Standing, Undo, WorkingSet};
use kernel::UserId;
use ledger_api::{
    AccountId, Balances, DESCRIPTION_CHARS_MAX, Hold, HoldId, HoldRelease, HoldStatus, NewCapture,
    NewHold, Recorded, Refusal, ReleaseCause, Side, Transaction,
};
use std::sync::Arc;

/// What can happen to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldEvent {
    CapturedInPart,
    CapturedLast,
    Voided,
    Expired,
}

/// Where an event leads; `None` where it is refused. The table above.
pub(super) fn next_status(status: HoldStatus, event: HoldEvent) -> Option<HoldStatus> {
    match (status, event) {
        (HoldStatus::Pending, HoldEvent::CapturedInPart) => Some(HoldStatus::Pending),
        (HoldStatus::Pending, HoldEvent::CapturedLast) => Some(HoldStatus::Captured),
        (HoldStatus::Pending | HoldStatus::Voided, HoldEvent::Voided) => Some(HoldStatus::Voided),
        (HoldStatus::Pending | HoldStatus::Expired, HoldEvent::Expired) => {
            Some(HoldStatus::Expired)
        }
        (HoldStatus::Captured, _)
        | (HoldStatus::Voided | HoldStatus::Expired, HoldEvent::CapturedInPart)
        | (HoldStatus::Voided | HoldStatus::Expired, HoldEvent::CapturedLast)
        | (HoldStatus::Voided, HoldEvent::Expired)
        | (HoldStatus::Expired, HoldEvent::Voided) => None,
    }
}

impl WorkingSet {
    pub(super) fn hold(&mut self, new: &NewHold) -> Result<Recorded<Hold>, Refusal> {
        if let Some(HoldState { hold, .. }) = self.holds.get(&new.id) {
            if !hold.has_content_of(new) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: hold.clone(), replayed: true });
        }
        check_texts(&new.kind, new.description.as_deref(), new.reference.as_deref())?;
        if new.expires_at.is_some_and(|expires_at| expires_at <= self.now) {
            return Err(Refusal::HoldExpiry { expires_at: new.expires_at, is_over: true });
        }
        check_shape(&new.legs)?;
        if new.tolerance < 0 || new.tolerance > 0 && new.legs.len() > 2 {
            return Err(Refusal::ToleranceInvalid);
        }
        check_sums(&new.legs)?;
        let movements = Movement::of(&new.legs, |minor_units| (0, minor_units));
        let after = self.check_movements(&new.legs, &movements, Counted::Anew(&new.kind))?;
        let hold = Hold {
            id: new.id,
            sequence: self.next_sequence(),
            kind: new.kind.clone(),
            description: new.description.clone(),
            reference: new.reference.clone(),
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
            expires_at: new.expires_at,
            tolerance: new.tolerance,
            created_at: self.recorded_at,
            status: HoldStatus::Pending,
            captured: 0,
            ended_by: None,
            initiated_by: new.initiated_by,
            released_by: None,
        };
        self.record_hold_legs(&hold, &after);
        self.holds.insert(hold.id, HoldState { hold: hold.clone(), is_new: true, changed: false });
        self.new_holds.push(hold.id);
        self.note(|| Undo::NewHold(new.id));
        Ok(Recorded { record: hold, replayed: false })
    }

    pub(super) fn capture(
        &mut self,
        new: &NewCapture,
    ) -> Result<Recorded<Arc<Transaction>>, Refusal> {
        let hold = self.holds.get(&new.hold).map(|state| state.hold.clone());
        if let Some(existing) = self.existing_transactions.get(&new.id) {
            let ended_by = hold.and_then(|hold| hold.ended_by);
            if !existing.is_capture_asked_by(new, ended_by) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: existing.clone(), replayed: true });
        }
        let hold = hold.ok_or(Refusal::HoldNotFound { hold: new.hold })?;
        let status = hold.status;
        if next_status(status, HoldEvent::CapturedLast).is_none() {
            return Err(Refusal::HoldNotPending { status });
        }
        if hold.expires_at.is_some_and(|expires_at| expires_at <= self.now) {
            return Err(Refusal::HoldExpiry { expires_at: hold.expires_at, is_over: true });
        }
        let remaining = hold.remaining();
        let left = remaining.saturating_add(hold.tolerance);
        let taken = new.minor_units.unwrap_or(remaining);
        if taken > left {
            return Err(Refusal::CaptureExceedsHold { left, asked: taken });
        }
        if taken != hold.amount() && hold.legs.len() > 2 {
            return Err(Refusal::PartialCaptureOfManyLegs);
        }
        let legs = part_of(&hold.legs, taken);
        check_shape(&legs)?;
        let is_last = new.is_final || taken >= remaining;
        let released = if is_last { remaining } else { taken };
        let is_whole = released == hold.amount();
        let movements: Vec<Movement> = legs
            .iter()
            .zip(&hold.legs)
            .map(|(leg, held)| {
                let released = if is_whole { held.amount.minor_units() } else { released };
                Movement {
                    account: leg.account_id,
                    direction: leg.direction,
                    posted: leg.amount.minor_units(),
                    pending: 0_i64.saturating_sub(released),
                }
            })
            .collect();
        let counted = Counted::SinceHold { hold: &hold, is_unused: false };
        let after = self.check_movements(&legs, &movements, counted)?;
        let posting = Posting {
            id: new.id,
            kind: &hold.kind,
            description: hold.description.as_deref(),
            reference: hold.reference.as_deref(),
            effective_at: None,
            metadata: hold.metadata.clone(),
            legs,
            reverses: None,
            captures: Some(hold.id),
            initiated_by: new.initiated_by,
        };
        let transaction = self.record(posting, &after);
        let event = if is_last { HoldEvent::CapturedLast } else { HoldEvent::CapturedInPart };
        let captured = hold.captured.saturating_add(taken);
        self.change_hold(hold.id, event, captured, transaction.sequence, None);
        Ok(Recorded { record: transaction, replayed: false })
    }

    pub(super) fn release(&mut self, release: &HoldRelease) -> Result<Recorded<Hold>, Refusal> {
        let (event, reason) = match &release.cause {
            ReleaseCause::Voided(reason) => (HoldEvent::Voided, reason.clone()),
            ReleaseCause::Expired => (HoldEvent::Expired, None),
        };
        check_text("reason", reason.as_deref().unwrap_or_default(), 0, DESCRIPTION_CHARS_MAX)?;
        let unknown = Refusal::HoldNotFound { hold: release.hold };
        let hold = self.holds.get(&release.hold).ok_or(unknown)?.hold.clone();
        let status = hold.status;
        let next = next_status(status, event).ok_or(Refusal::HoldNotPending { status })?;
        if next == status {
            return Ok(Recorded { record: hold, replayed: true });
        }
        let is_over = hold.expires_at.is_some_and(|expires_at| expires_at <= self.now);
        if event == HoldEvent::Expired && !is_over {
            return Err(Refusal::HoldExpiry { expires_at: hold.expires_at, is_over });
        }
        let remaining = hold.remaining();
        let is_whole = remaining == hold.amount();
        let movements = Movement::of(&hold.legs, |minor_units| {
            (0, 0_i64.saturating_sub(if is_whole { minor_units } else { remaining }))
        });
        // Whatever the accounts' status or limits are: what was set aside can always be released.
        let after = self.balances_after(&movements)?;
        let counted = Counted::SinceHold { hold: &hold, is_unused: hold.captured == 0 };
        self.count(&movements, counted)?;
        self.stand_at(hold.accounts(), &after);
        let sequence = self.next_sequence();
        self.new_hold_changes.push(NewHoldChange {
            sequence,
            hold_sequence: hold.sequence,
            status: next,
            reason,
            changed_at: self.recorded_at,
            initiated_by: release.initiated_by,
        });
        self.note(|| Undo::HoldChange);
        let by = release.initiated_by;
        let record = self.change_hold(hold.id, event, hold.captured, sequence, by).unwrap_or(hold);
        Ok(Recorded { record, replayed: false })
    }

    /// Applies an event that the table allows.
    fn change_hold(
        &mut self,
        id: HoldId,
        event: HoldEvent,
        captured: i64,
        sequence: i64,
        released_by: Option<UserId>,
    ) -> Option<Hold> {
        let state = self.holds.get_mut(&id)?;
        let Hold { status, captured: before, ended_by, .. } = state.hold;
        let changed = state.changed;
        state.hold.status = next_status(status, event)?;
        state.hold.captured = captured;
        state.hold.ended_by = (state.hold.status != HoldStatus::Pending).then_some(sequence);
        state.hold.released_by = released_by;
        state.changed = true;
        let hold = state.hold.clone();
        self.note(|| Undo::Hold { id, status, captured: before, ended_by, changed });
        Some(hold)
    }

    /// Adds the legs of a new hold, and the hold to the list of each leg's account, once.
    fn record_hold_legs(&mut self, hold: &Hold, after: &[Balances]) {
        let newest = Some(hold.sequence);
        let mut legs: Vec<NewHoldLeg> = Vec::with_capacity(hold.legs.len());
        for (leg_no, (leg, balances)) in (0_i64..).zip(hold.legs.iter().zip(after)) {
            let Some(state) = self.accounts.get(&leg.account_id) else { continue };
            let (account_sequence, before) = (state.sequence, state.standing);
            // Several legs on one account have the same hold before them.
            let sibling = || legs.iter().find(|other| other.account_sequence == account_sequence);
            let previous = match before.last_hold == newest {
                true => sibling().and_then(|other| other.previous),
                false => before.last_hold,
            };
            let amount = signed(leg.direction == Side::Debit, leg.amount.minor_units());
            legs.push(NewHoldLeg {
                hold_sequence: hold.sequence,
                leg_no,
                account_sequence,
                amount,
                previous,
            });
            let standing = Standing { balances: *balances, last_hold: newest, ..before };
            self.stand(leg.account_id, standing);
        }
        self.new_hold_legs.append(&mut legs);
    }

    /// Moves the account of each leg to its balances after it.
    fn stand_at(&mut self, accounts: impl Iterator<Item = AccountId>, after: &[Balances]) {
        for (account, balances) in accounts.zip(after) {
            let Some(state) = self.accounts.get(&account) else { continue };
            let standing = Standing { balances: *balances, ..state.standing };
            self.stand(account, standing);
        }
    }
}
