//! Posting, alone and many at once, and taking back.

use super::{Move, Reference, check_amounts, check_sums, check_text, check_texts};
use kernel::Money;
use ledger_api::{
    HoldId, Leg, NewReversal, NewTransaction, Recorded, Refusal, Transaction, TransactionId,
};
use std::collections::BTreeMap;

pub(crate) type PostedEach = Vec<Result<Recorded<Transaction>, Refusal>>;

impl Reference {
    pub(super) fn transaction(&self, id: TransactionId) -> Option<&Transaction> {
        self.transactions.iter().find(|one| one.id == id)
    }

    pub(super) fn post(&mut self, new: &NewTransaction) -> Result<Recorded<Transaction>, Refusal> {
        if let Some(old) = self.transaction(new.id) {
            let is_same = (old.reverses, old.captures) == (None, None)
                && (&old.kind, &old.description, &old.reference, &old.metadata, &old.legs)
                    == (&new.kind, &new.description, &new.reference, &new.metadata, &new.legs)
                && new.effective_at.unwrap_or(old.recorded_at) == old.effective_at;
            return replayed(old, is_same);
        }
        if let Some(deadline) = new.not_after
            && self.now > deadline
        {
            return Err(Refusal::DeadlinePassed { deadline });
        }
        check_texts(&new.kind, new.description.as_ref(), new.reference.as_ref())?;
        check_amounts(&new.legs)?;
        check_sums(&new.legs)?;
        self.check_accounts(&moves_of(&new.legs))?;
        self.count_new(&new.kind, &new.legs)?;
        let recorded_at = self.recording_time();
        Ok(self.add(Transaction {
            id: new.id,
            sequence: 0,
            kind: new.kind.clone(),
            description: new.description.clone(),
            reference: new.reference.clone(),
            effective_at: new.effective_at.unwrap_or(recorded_at),
            recorded_at,
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
            reverses: None,
            captures: None,
            initiated_by: new.initiated_by,
        }))
    }

    /// Gives a transaction its number and writes it down.
    pub(super) fn add(&mut self, transaction: Transaction) -> Recorded<Transaction> {
        let record = Transaction { sequence: self.record(), ..transaction };
        self.transactions.push(record.clone());
        Recorded { record, replayed: false }
    }

    pub(super) fn post_all(
        &mut self,
        batch: &[NewTransaction],
    ) -> Result<Vec<Recorded<Transaction>>, Refusal> {
        let mut posted = Vec::new();
        for (index, new) in batch.iter().enumerate() {
            let one = self.post(new);
            posted
                .push(one.map_err(|refusal| Refusal::InBatch { index, refusal: refusal.into() })?);
        }
        Ok(posted)
    }

    /// A chain is all or nothing: who is refused is told why, the others that he was.
    pub(super) fn post_each(&mut self, chains: &[Vec<NewTransaction>]) -> PostedEach {
        let mut outcomes = Vec::new();
        for chain in chains {
            let before = self.clone();
            let first = outcomes.len();
            match self.post_all(chain) {
                Ok(posted) => outcomes.extend(posted.into_iter().map(Ok)),
                Err(Refusal::InBatch { index, refusal }) => {
                    *self = before;
                    for place in 0..chain.len() {
                        outcomes.push(Err(match place == index {
                            true => (*refusal).clone(),
                            false => Refusal::LinkedRefused { index: first + index },
                        }));
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        outcomes
    }

    /// What is left of a transaction after all that was taken back of it, in minor units of its first leg.
    fn left_to_reverse(&self, original: &Transaction) -> i64 {
        let reversals = self.transactions.iter().filter(|one| one.reverses == Some(original.id));
        let taken: i64 = reversals.map(first_amount).sum();
        first_amount(original) - taken
    }

    /// The same again is: the same amount, or, where none was said, nothing left since.
    pub(super) fn reverse(&mut self, new: &NewReversal) -> Result<Recorded<Transaction>, Refusal> {
        if let Some(old) = self.transaction(new.id) {
            let is_same = old.reverses == Some(new.original)
                && old.description.as_ref() == Some(&new.reason)
                && match (new.minor_units, self.transaction(new.original)) {
                    (Some(minor_units), _) => minor_units == first_amount(old),
                    (None, Some(original)) => self.left_to_reverse(original) == 0,
                    (None, None) => false,
                };
            return replayed(old, is_same);
        }
        check_text("reason", &new.reason, 1, 500)?;
        let original = self.transaction(new.original).cloned();
        let original = original.ok_or(Refusal::OriginalNotFound { original: new.original })?;
        if original.reverses.is_some() {
            return Err(Refusal::OriginalIsReversal);
        }
        let (whole, left) = (first_amount(&original), self.left_to_reverse(&original));
        if left == 0 || new.minor_units.is_some_and(|asked| asked > left) {
            let asked = new.minor_units.unwrap_or(whole);
            return Err(Refusal::ReversalExceedsOriginal { left, asked });
        }
        let taken = new.minor_units.unwrap_or(left);
        if original.legs.len() > 2 && taken != whole {
            return Err(Refusal::PartialReversalOfManyLegs);
        }
        let mut legs = part_of(&original.legs, taken);
        for leg in &mut legs {
            leg.direction = leg.direction.opposite();
        }
        check_amounts(&legs)?;
        self.check_accounts(&moves_of(&legs))?;
        let recorded_at = self.recording_time();
        Ok(self.add(Transaction {
            id: new.id,
            sequence: 0,
            kind: "reversal".into(),
            description: Some(new.reason.clone()),
            reference: None,
            effective_at: recorded_at,
            recorded_at,
            metadata: BTreeMap::new(),
            legs,
            reverses: Some(new.original),
            captures: None,
            initiated_by: new.initiated_by,
        }))
    }

    /// What was captured of a hold.
    pub(super) fn captures(&self, hold: HoldId) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().filter(move |one| one.captures == Some(hold))
    }
}

pub(super) fn replayed(old: &Transaction, is_same: bool) -> Result<Recorded<Transaction>, Refusal> {
    match is_same {
        true => Ok(Recorded { record: old.clone(), replayed: true }),
        false => Err(Refusal::IdReused),
    }
}

pub(super) fn first_amount(transaction: &Transaction) -> i64 {
    transaction.legs[0].amount.minor_units()
}

/// More than two legs are only ever taken whole.
pub(super) fn part_of(legs: &[Leg], taken: i64) -> Vec<Leg> {
    let part = |leg: &Leg| match legs.len() {
        2 => Leg { amount: Money::new(taken, leg.amount.currency()), ..*leg },
        _ => *leg,
    };
    legs.iter().map(part).collect()
}

fn moves_of(legs: &[Leg]) -> Vec<Move> {
    let posted = |leg: &Leg| Move { leg: *leg, posted: leg.amount.minor_units().into(), held: 0 };
    legs.iter().map(posted).collect()
}
