//! Setting money aside, taking it and letting it go.

use super::postings::{first_amount, part_of, replayed};
use super::{Move, Reference, check_amounts, check_sums, check_text, check_texts};
use ledger_api::{
    Hold, HoldId, HoldRelease, HoldStatus, NewCapture, NewHold, Recorded, Refusal, ReleaseCause,
    Transaction,
};

impl Reference {
    pub(super) fn hold_by_id(&self, id: HoldId) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.id == id)
    }

    /// The pending hold whose time has been over for the longest.
    pub(crate) fn next_to_expire(&self) -> Option<HoldId> {
        let pending = self.holds.iter().filter(|hold| hold.status == HoldStatus::Pending);
        let over = pending.filter(|hold| hold.expires_at.is_some_and(|at| at <= self.now));
        over.min_by_key(|hold| (hold.expires_at, hold.sequence)).map(|hold| hold.id)
    }

    pub(super) fn hold(&mut self, new: &NewHold) -> Result<Recorded<Hold>, Refusal> {
        if let Some(old) = self.hold_by_id(new.id) {
            let is_same = (&old.kind, &old.description, &old.reference, &old.metadata, &old.legs)
                == (&new.kind, &new.description, &new.reference, &new.metadata, &new.legs)
                && (old.expires_at, old.tolerance) == (new.expires_at, new.tolerance);
            return match is_same {
                true => Ok(Recorded { record: old.clone(), replayed: true }),
                false => Err(Refusal::IdReused),
            };
        }
        check_texts(&new.kind, new.description.as_ref(), new.reference.as_ref())?;
        if new.expires_at.is_some_and(|at| at <= self.now) {
            return Err(Refusal::HoldExpiry { expires_at: new.expires_at, is_over: true });
        }
        check_amounts(&new.legs)?;
        if new.tolerance < 0 || new.tolerance > 0 && new.legs.len() > 2 {
            return Err(Refusal::ToleranceInvalid);
        }
        check_sums(&new.legs)?;
        let moves = new.legs.iter().map(|leg| {
            let held = leg.amount.minor_units().into();
            Move { leg: *leg, posted: 0, held }
        });
        self.check_accounts(&moves.collect::<Vec<_>>())?;
        self.count_new(&new.kind, &new.legs)?;
        let created_at = self.recording_time();
        let record = Hold {
            id: new.id,
            sequence: self.record(),
            kind: new.kind.clone(),
            description: new.description.clone(),
            reference: new.reference.clone(),
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
            expires_at: new.expires_at,
            tolerance: new.tolerance,
            created_at,
            status: HoldStatus::Pending,
            captured: 0,
            ended_by: None,
            initiated_by: new.initiated_by,
            released_by: None,
        };
        self.holds.push(record.clone());
        Ok(Recorded { record, replayed: false })
    }

    /// The same again is: the same amount where one is said, and the last where it was to be the last. Who
    /// says no amount asks for all that is left, which is the last.
    pub(super) fn capture(&mut self, new: &NewCapture) -> Result<Recorded<Transaction>, Refusal> {
        let hold = self.hold_by_id(new.hold).cloned();
        if let Some(old) = self.transaction(new.id) {
            let was_last = hold.is_some_and(|hold| hold.ended_by == Some(old.sequence));
            let asks_for_last = new.is_final || new.minor_units.is_none();
            let is_same = old.captures == Some(new.hold)
                && new.minor_units.is_none_or(|asked| asked == first_amount(old))
                && (was_last || !asks_for_last);
            return replayed(old, is_same);
        }
        let hold = hold.ok_or(Refusal::HoldNotFound { hold: new.hold })?;
        if hold.status != HoldStatus::Pending {
            return Err(Refusal::HoldNotPending { status: hold.status });
        }
        if hold.expires_at.is_some_and(|at| at <= self.now) {
            return Err(Refusal::HoldExpiry { expires_at: hold.expires_at, is_over: true });
        }
        let whole = hold.legs[0].amount.minor_units();
        let remaining = whole - self.captures(hold.id).map(first_amount).sum::<i64>();
        let taken = new.minor_units.unwrap_or(remaining);
        let left = remaining.saturating_add(hold.tolerance);
        if taken > left {
            return Err(Refusal::CaptureExceedsHold { left, asked: taken });
        }
        if hold.legs.len() > 2 && taken != whole {
            return Err(Refusal::PartialCaptureOfManyLegs);
        }
        let legs = part_of(&hold.legs, taken);
        check_amounts(&legs)?;
        let is_last = new.is_final || taken >= remaining;
        let released = part_of(&hold.legs, if is_last { remaining } else { taken });
        let moves = legs.iter().zip(&released).map(|(leg, released)| Move {
            leg: *leg,
            posted: leg.amount.minor_units().into(),
            held: -i128::from(released.amount.minor_units()),
        });
        self.check_accounts(&moves.collect::<Vec<_>>())?;
        self.count_captured(&hold, &legs, &released)?;
        let recorded_at = self.recording_time();
        let captured = self.add(Transaction {
            id: new.id,
            sequence: 0,
            kind: hold.kind.clone(),
            description: hold.description.clone(),
            reference: hold.reference.clone(),
            effective_at: recorded_at,
            recorded_at,
            metadata: hold.metadata.clone(),
            legs,
            reverses: None,
            captures: Some(hold.id),
            initiated_by: new.initiated_by,
        });
        let hold = self.holds.iter_mut().find(|one| one.id == hold.id).unwrap();
        hold.captured += taken;
        if is_last {
            hold.status = HoldStatus::Captured;
            hold.ended_by = Some(captured.record.sequence);
        }
        Ok(captured)
    }

    pub(super) fn release(&mut self, release: &HoldRelease) -> Result<Recorded<Hold>, Refusal> {
        let becomes = match &release.cause {
            ReleaseCause::Voided(reason) => {
                check_text("reason", reason.as_deref().unwrap_or(""), 0, 500)?;
                HoldStatus::Voided
            }
            ReleaseCause::Expired => HoldStatus::Expired,
        };
        let hold = self.hold_by_id(release.hold).cloned();
        let hold = hold.ok_or(Refusal::HoldNotFound { hold: release.hold })?;
        if hold.status == becomes {
            return Ok(Recorded { record: hold, replayed: true });
        }
        if hold.status != HoldStatus::Pending {
            return Err(Refusal::HoldNotPending { status: hold.status });
        }
        let is_over = hold.expires_at.is_some_and(|at| at <= self.now);
        if becomes == HoldStatus::Expired && !is_over {
            return Err(Refusal::HoldExpiry { expires_at: hold.expires_at, is_over });
        }
        let whole = hold.legs[0].amount.minor_units();
        self.give_back(&hold, &part_of(&hold.legs, whole - hold.captured), hold.captured == 0);
        let sequence = self.record();
        let hold = self.holds.iter_mut().find(|one| one.id == hold.id).unwrap();
        hold.status = becomes;
        hold.ended_by = Some(sequence);
        hold.released_by = release.initiated_by;
        Ok(Recorded { record: hold.clone(), replayed: false })
    }
}
