//! Posting and taking back transactions.

use super::checks::{check_shape, check_sums, check_text, check_texts};
use super::limits::Use;
use super::{AccountState, NewEntry, NewShift, Standing, Undo, WorkingSet};
use kernel::{Money, Timestamp, UserId};
use ledger_api::{
    AccountId, AccountStatus, Balances, DESCRIPTION_CHARS_MAX, Direction, EntryKey, Hold, HoldId,
    Leg, NewReversal, NewTransaction, REVERSAL_KIND, Recorded, Refusal, Side, Transaction,
    TransactionId,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every so many entries of an account, one leads into the middle of its list.
pub(crate) const ENTRIES_PER_MARK: i64 = 64;

/// What is to be posted, whatever asked for it.
pub(super) struct Posting<'a> {
    pub(super) id: TransactionId,
    pub(super) kind: &'a str,
    pub(super) description: Option<&'a str>,
    pub(super) reference: Option<&'a str>,
    pub(super) effective_at: Option<Timestamp>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) legs: Vec<Leg>,
    pub(super) reverses: Option<TransactionId>,
    pub(super) captures: Option<HoldId>,
    pub(super) initiated_by: Option<UserId>,
}

/// What happens to the account of one leg.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Movement {
    pub(crate) account: AccountId,
    pub(crate) direction: Side,
    /// What is posted, in minor units.
    pub(crate) posted: i64,
    /// What is set aside, or released when below zero.
    pub(crate) pending: i64,
}

/// What counts towards the limits of the accounts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Counted<'a> {
    /// A new movement of this kind.
    Anew(&'a str),
    /// The rest of what was counted when the hold was made: more of it, or some of it back.
    SinceHold { hold: &'a Hold, is_unused: bool },
    /// Nothing does.
    Not,
}

impl<'a> Counted<'a> {
    /// What movements take from the limits of one of their accounts, or give back of what was counted
    /// for the hold.
    pub(crate) fn of(
        self,
        account: AccountId,
        normal_side: Side,
        movements: &[Movement],
    ) -> Option<(Use<'a>, Option<&'a Hold>)> {
        let kind = match self {
            Self::Anew(kind) => kind,
            Self::SinceHold { hold, .. } => &hold.kind,
            Self::Not => return None,
        };
        let of_account = movements.iter().filter(|movement| movement.account == account);
        let (size, counts) = of_account.fold((0_i64, 0_i64), |(size, counts), movement| {
            let sign = if movement.direction == normal_side { 1 } else { -1 };
            let moved = match movement.posted {
                0 => movement.pending.saturating_abs(),
                posted => posted,
            };
            let signed = |minor_units: i64| minor_units.saturating_mul(sign);
            let counted = movement.posted.saturating_add(movement.pending);
            (size.saturating_add(signed(moved)), counts.saturating_add(signed(counted)))
        });
        let direction = if size < 0 { Direction::Outgoing } else { Direction::Incoming };
        let anew = matches!(self, Self::Anew(_));
        // What a capture leaves of a hold, or takes beyond it, has the hold's direction.
        let is_more = anew || counts.signum() == size.signum();
        let new = Use {
            account,
            kind,
            direction,
            size: size.saturating_abs(),
            minor_units: counts.saturating_abs(),
            uses: i64::from(anew),
        };
        match self {
            Self::SinceHold { hold, is_unused } if !is_more => {
                Some((Use { uses: i64::from(is_unused), ..new }, Some(hold)))
            }
            _ => (size != 0).then_some((new, None)),
        }
    }
}

impl WorkingSet {
    pub(super) fn post(
        &mut self,
        new: &NewTransaction,
    ) -> Result<Recorded<Arc<Transaction>>, Refusal> {
        if let Some(existing) = self.existing_transactions.get(&new.id) {
            if !existing.has_content_of(new) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: existing.clone(), replayed: true });
        }
        // By this machine's clock, which set the deadline: the journal's time may be ahead of it.
        if let Some(deadline) = new.not_after
            && self.now > deadline
        {
            return Err(Refusal::DeadlinePassed { deadline });
        }
        check_texts(&new.kind, new.description.as_deref(), new.reference.as_deref())?;
        check_shape(&new.legs)?;
        check_sums(&new.legs)?;
        let movements = Movement::posted(&new.legs);
        let after = self.check_movements(&new.legs, &movements, Counted::Anew(&new.kind))?;
        let posting = Posting {
            id: new.id,
            kind: &new.kind,
            description: new.description.as_deref(),
            reference: new.reference.as_deref(),
            effective_at: new.effective_at,
            metadata: new.metadata.clone(),
            legs: new.legs.clone(),
            reverses: None,
            captures: None,
            initiated_by: new.initiated_by,
        };
        Ok(Recorded { record: self.record(posting, &after), replayed: false })
    }

    /// All of a batch or nothing.
    pub(super) fn post_all(
        &mut self,
        batch: &[NewTransaction],
    ) -> Result<Vec<Recorded<Arc<Transaction>>>, Refusal> {
        self.post_chain(batch)
            .map_err(|(index, refusal)| Refusal::InBatch { index, refusal: Box::new(refusal) })
    }

    /// Each chain on its own: all of it or nothing.
    pub(super) fn post_each(
        &mut self,
        chains: &[Vec<NewTransaction>],
    ) -> Vec<Result<Recorded<Arc<Transaction>>, Refusal>> {
        let mut outcomes = Vec::new();
        for chain in chains {
            if let [single] = chain.as_slice() {
                outcomes.push(self.post(single));
                continue;
            }
            let first = outcomes.len();
            match self.post_chain(chain) {
                Ok(posted) => outcomes.extend(posted.into_iter().map(Ok)),
                Err((at, refusal)) => {
                    let index = first.saturating_add(at);
                    let linked = chain.iter().map(|_| Err(Refusal::LinkedRefused { index }));
                    outcomes.extend(linked);
                    outcomes[index] = Err(refusal);
                }
            }
        }
        outcomes
    }

    /// All of it, or the place and the refusal of the first that was refused.
    fn post_chain(
        &mut self,
        chain: &[NewTransaction],
    ) -> Result<Vec<Recorded<Arc<Transaction>>>, (usize, Refusal)> {
        let post = |set: &mut Self| {
            let posted = chain.iter().enumerate();
            let posted = posted.map(|(at, new)| set.post(new).map_err(|refusal| (at, refusal)));
            posted.collect::<Result<Vec<_>, _>>()
        };
        self.apart(post, Result::is_ok)
    }

    pub(super) fn reverse(
        &mut self,
        new: &NewReversal,
    ) -> Result<Recorded<Arc<Transaction>>, Refusal> {
        if let Some(existing) = self.existing_transactions.get(&new.id) {
            // Whoever asked for all that was left has left nothing.
            let is_other = new.minor_units.is_none() && !self.is_reversed_whole(new.original);
            if is_other || !existing.is_reversal_asked_by(new) {
                return Err(Refusal::IdReused);
            }
            return Ok(Recorded { record: existing.clone(), replayed: true });
        }
        check_text("reason", &new.reason, 1, DESCRIPTION_CHARS_MAX)?;
        let original = self.existing_transactions.get(&new.original);
        let original = original.ok_or(Refusal::OriginalNotFound { original: new.original })?;
        let before = self.reversed.get(&new.original).copied().unwrap_or(0);
        let (legs, taken) = reversed_legs(original, before, new.minor_units)?;
        check_shape(&legs)?;
        let after = self.check_movements(&legs, &Movement::posted(&legs), Counted::Not)?;
        let posting = Posting {
            id: new.id,
            kind: REVERSAL_KIND,
            description: Some(&new.reason),
            reference: None,
            effective_at: None,
            metadata: BTreeMap::new(),
            legs,
            reverses: Some(new.original),
            captures: None,
            initiated_by: new.initiated_by,
        };
        let transaction = self.record(posting, &after);
        self.note(|| Undo::Reversed { original: new.original, before });
        self.reversed.insert(new.original, before.saturating_add(taken));
        Ok(Recorded { record: transaction, replayed: false })
    }

    fn is_reversed_whole(&self, id: TransactionId) -> bool {
        let first = self.existing_transactions.get(&id).and_then(|one| one.legs.first());
        first.map(|leg| leg.amount.minor_units()) == self.reversed.get(&id).copied()
    }

    /// Checks that the accounts take the legs, that their balances and constraints allow it and that their
    /// limits do, and counts it. Answers with the balances of each account after each leg; nothing
    /// else is changed yet.
    pub(super) fn check_movements(
        &mut self,
        legs: &[Leg],
        movements: &[Movement],
        counted: Counted<'_>,
    ) -> Result<Vec<Balances>, Refusal> {
        self.check_accounts(legs)?;
        let after = self.balances_after(movements)?;
        self.check_constraints(movements, &after)?;
        self.count(movements, counted)?;
        Ok(after)
    }

    /// The account of each leg is there and takes it.
    fn check_accounts(&self, legs: &[Leg]) -> Result<(), Refusal> {
        let states = || legs.iter().enumerate().map(|(at, leg)| (at, leg, self.state_of(leg)));
        for (leg, one, state) in states() {
            if state.is_none() {
                return Err(Refusal::AccountNotFound { leg, account: one.account_id });
            }
        }
        for (leg, one, state) in states() {
            if let Some(held) = state.map(|state| state.currency)
                && held != one.amount.currency()
            {
                return Err(Refusal::CurrencyMismatch { leg, account: one.account_id, held });
            }
        }
        for (leg, one, state) in states() {
            if let Some(status) = state.map(|state| state.status)
                && status != AccountStatus::Open
            {
                return Err(Refusal::AccountNotOpen { leg, account: one.account_id, status });
            }
        }
        Ok(())
    }

    fn state_of(&self, leg: &Leg) -> Option<&AccountState> {
        self.accounts.get(&leg.account_id)
    }

    /// The balances of each account after each movement, without changing anything yet.
    pub(super) fn balances_after(&self, movements: &[Movement]) -> Result<Vec<Balances>, Refusal> {
        let mut after: Vec<Balances> = Vec::with_capacity(movements.len());
        for (leg, movement) in movements.iter().enumerate() {
            let account = movement.account;
            // An account may stand on several legs: go on from where it stood last.
            let earlier = movements[..leg].iter().rposition(|earlier| earlier.account == account);
            let before = match earlier {
                Some(earlier) => after[earlier],
                None => {
                    let state = self.accounts.get(&account);
                    state.ok_or(Refusal::AccountNotFound { leg, account })?.standing.balances
                }
            };
            let moved = movement.applied_to(before);
            after.push(moved.ok_or(Refusal::BalanceOverflow { leg, account })?);
        }
        Ok(after)
    }

    /// No account may be taken below its constraint. What counts is where the whole transaction leaves
    /// it; an account that gains is never refused, even while it is still too low.
    fn check_constraints(&self, movements: &[Movement], after: &[Balances]) -> Result<(), Refusal> {
        for (account, last) in last_of_each_account(movements) {
            let Some(state) = self.accounts.get(&account) else { continue };
            let Some(lowest) = state.lowest_available else { continue };
            let available = state.standing.balances.available(state.normal_side);
            let left = after[last].available(state.normal_side);
            if left < available && left < lowest {
                let money = |minor_units| Money::new(minor_units, state.currency);
                return Err(Refusal::InsufficientFunds {
                    account,
                    available: money(available.saturating_sub(lowest).max(0)),
                    required: money(available.saturating_sub(left)),
                });
            }
        }
        Ok(())
    }

    /// Counts the movements towards the limits of their accounts: of all or, when one refuses, of none.
    pub(super) fn count(
        &mut self,
        movements: &[Movement],
        counted: Counted<'_>,
    ) -> Result<(), Refusal> {
        let now = self.recorded_at;
        let mut uses = Vec::new();
        for (account, _) in last_of_each_account(movements) {
            let Some(state) = self.accounts.get(&account) else { continue };
            let Some(limited) = &state.limited else { continue };
            let Some((new, since)) = counted.of(account, state.normal_side, movements) else {
                continue;
            };
            if since.is_none() {
                limited.check(new, now)?;
            }
            uses.push((new, since));
        }
        for (one, since) in uses {
            let Some(state) = self.accounts.get_mut(&one.account) else { continue };
            let before = self.undo.is_some().then(|| state.limited.clone());
            if let Some(limited) = &mut state.limited {
                limited.count(one, since, now);
            }
            if let Some(before) = before {
                self.note(|| Undo::Limits { account: one.account, before });
            }
        }
        Ok(())
    }

    /// Moves an account to other balances.
    pub(super) fn stand(&mut self, account: AccountId, standing: Standing) {
        let Some(state) = self.accounts.get_mut(&account) else { return };
        let before = state.standing;
        state.standing = Standing { changed: true, ..standing };
        self.note(|| Undo::Standing { account, before });
    }

    /// Writes an accepted posting into the set.
    pub(super) fn record(&mut self, posting: Posting<'_>, after: &[Balances]) -> Arc<Transaction> {
        let transaction = Arc::new(Transaction {
            id: posting.id,
            sequence: self.next_sequence(),
            kind: posting.kind.to_owned(),
            description: posting.description.map(str::to_owned),
            reference: posting.reference.map(str::to_owned),
            effective_at: posting.effective_at.unwrap_or(self.recorded_at),
            recorded_at: self.recorded_at,
            metadata: posting.metadata,
            legs: posting.legs,
            reverses: posting.reverses,
            captures: posting.captures,
            initiated_by: posting.initiated_by,
        });
        for (leg_no, (leg, balances)) in (0_i64..).zip(transaction.legs.iter().zip(after)) {
            self.record_entry(&transaction, leg_no, leg, *balances);
        }
        self.existing_transactions.insert(transaction.id, transaction.clone());
        self.new_transactions.push(transaction.clone());
        self.note(|| Undo::Transaction(transaction.id));
        transaction
    }

    fn record_entry(
        &mut self,
        transaction: &Transaction,
        leg_no: i64,
        leg: &Leg,
        balances: Balances,
    ) {
        let Some(state) = self.accounts.get(&leg.account_id) else { return };
        let (account_sequence, normal_side) = (state.sequence, state.normal_side);
        let Standing { last_entry: previous, entry_count, last_hold, .. } = state.standing;
        let EntryKey(entry_key) = EntryKey::new(transaction.sequence, leg_no);
        let entry_count = entry_count.saturating_add(1);
        let minor_units = leg.amount.minor_units();
        self.new_entries.push(NewEntry {
            entry_key,
            account_sequence,
            amount: signed(leg.direction == Side::Debit, minor_units),
            balance_after: balances.posted(normal_side),
            previous,
            is_mark: entry_count.checked_rem(ENTRIES_PER_MARK) == Some(0),
        });
        if transaction.effective_at != transaction.recorded_at {
            self.new_shifts.push(NewShift {
                account_sequence,
                entry_key,
                effective_at: transaction.effective_at,
                amount: signed(leg.direction == normal_side, minor_units),
            });
        }
        let last_entry = Some(entry_key);
        let standing = Standing { balances, last_entry, last_hold, entry_count, changed: true };
        self.stand(leg.account_id, standing);
    }
}

impl Movement {
    /// What posting the legs moves.
    pub(super) fn posted(legs: &[Leg]) -> Vec<Self> {
        Self::of(legs, |minor_units| (minor_units, 0))
    }

    /// For each leg what is posted and what is set aside, by the leg's amount.
    pub(super) fn of(legs: &[Leg], parts: impl Fn(i64) -> (i64, i64)) -> Vec<Self> {
        let movement = |leg: &Leg| {
            let (posted, pending) = parts(leg.amount.minor_units());
            Self { account: leg.account_id, direction: leg.direction, posted, pending }
        };
        legs.iter().map(movement).collect()
    }

    /// `None` if a counter would leave its range.
    fn applied_to(&self, before: Balances) -> Option<Balances> {
        let mut after = before;
        let (posted, pending) = match self.direction {
            Side::Debit => (&mut after.posted_debits, &mut after.pending_debits),
            Side::Credit => (&mut after.posted_credits, &mut after.pending_credits),
        };
        *posted = posted.checked_add(self.posted)?;
        *pending = pending.checked_add(self.pending)?;
        Some(after)
    }
}

/// Each account and the place of its last movement.
pub(crate) fn last_of_each_account(
    movements: &[Movement],
) -> impl Iterator<Item = (AccountId, usize)> {
    movements.iter().enumerate().filter_map(|(at, movement)| {
        let account = movement.account;
        let is_last = movements[at..].iter().skip(1).all(|later| later.account != account);
        is_last.then_some((account, at))
    })
}

/// Amounts are above zero, so it cannot overflow.
pub(super) fn signed(is_positive: bool, minor_units: i64) -> i64 {
    if is_positive { minor_units } else { 0_i64.saturating_sub(minor_units) }
}

/// The legs that take back `asked` of a transaction of which `before` was taken back already, both in
/// minor units of the first leg; and how much that is.
fn reversed_legs(
    original: &Transaction,
    before: i64,
    asked: Option<i64>,
) -> Result<(Vec<Leg>, i64), Refusal> {
    if original.reverses.is_some() {
        return Err(Refusal::OriginalIsReversal);
    }
    let whole = original.legs.first().map_or(0, |leg| leg.amount.minor_units());
    let left = whole.saturating_sub(before);
    let taken = asked.unwrap_or(left);
    if taken > left || left <= 0 {
        return Err(Refusal::ReversalExceedsOriginal { left, asked: asked.unwrap_or(whole) });
    }
    if taken != whole && original.legs.len() > 2 {
        return Err(Refusal::PartialReversalOfManyLegs);
    }
    let mut legs = part_of(&original.legs, taken);
    legs.iter_mut().for_each(|leg| leg.direction = leg.direction.opposite());
    Ok((legs, taken))
}

/// The legs with another amount: two have the same one, and so has the part; with more it is the whole.
pub(super) fn part_of(legs: &[Leg], minor_units: i64) -> Vec<Leg> {
    let is_whole = legs.first().is_some_and(|leg| leg.amount.minor_units() == minor_units);
    let part = |leg: &Leg| {
        let amount = if is_whole { leg.amount.minor_units() } else { minor_units };
        Leg { amount: Money::new(amount, leg.amount.currency()), ..*leg }
    };
    legs.iter().map(part).collect()
}
