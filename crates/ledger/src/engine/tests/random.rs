//! Random commands in random groups: what must hold for all of them.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::commands::{any_commands, any_transaction, busy_commands};
use super::*;
use crate::engine::ENTRIES_PER_MARK;
use crate::engine::IdMap;
use crate::engine::decide::{
    HoldState, NewChange, NewHoldChange, NewHoldLeg, NewLimitChange, Usage,
};
use ledger_api::{Direction, Hold, HoldId, HoldStatus, Period};
use proptest::prelude::*;

/// A store in memory: what the writers of the engine do, without SQL.
#[derive(Default)]
struct Memory {
    head: Option<Head>,
    states: IdMap<AccountId, AccountState>,
    accounts: IdMap<AccountId, Account>,
    transactions: IdMap<TransactionId, Arc<Transaction>>,
    /// In the order of the journal.
    entries: Vec<NewEntry>,
    changes: Vec<NewChange>,
    limit_changes: Vec<NewLimitChange>,
    holds: IdMap<HoldId, Hold>,
    hold_legs: Vec<NewHoldLeg>,
    hold_changes: Vec<NewHoldChange>,
}

type Decided = Result<Outcome, Refusal>;

impl Memory {
    /// Carries out the commands in groups of `group_max`. A recorded time depends on nothing but `now`.
    fn carry_out(&mut self, commands: &[Command], group_max: usize) -> Vec<Decided> {
        commands.chunks(group_max).flat_map(|group| self.commit(group)).collect()
    }

    fn commit(&mut self, group: &[Command]) -> Vec<Decided> {
        let mut set = self.load();
        let decided = group.iter().map(|command| set.decide(command)).collect();
        self.write(&set);
        decided
    }

    fn load(&self) -> WorkingSet {
        let start = Head { last_sequence: 0, last_recorded_at: Timestamp::EPOCH };
        let mut set = WorkingSet::new(self.head.unwrap_or(start), noon());
        set.accounts = self.states.clone();
        set.existing_accounts = self.accounts.clone();
        set.existing_transactions = self.transactions.clone();
        for (id, hold) in &self.holds {
            let state = HoldState { hold: hold.clone(), is_new: false, changed: false };
            set.holds.insert(*id, state);
        }
        for (original, transaction) in self.reversals() {
            *set.reversed.entry(original).or_default() += whole(transaction);
        }
        set
    }

    fn write(&mut self, set: &WorkingSet) {
        self.head = Some(set.head);
        for new in &set.new_transactions {
            self.transactions.insert(new.id, new.clone());
        }
        self.entries.extend(&set.new_entries);
        self.hold_legs.extend(&set.new_hold_legs);
        self.changes.extend(set.new_changes.iter().cloned());
        self.limit_changes.extend(set.new_limit_changes.iter().cloned());
        self.hold_changes.extend(set.new_hold_changes.iter().cloned());
        for hold in set.holds_to_add().chain(set.changed_holds()) {
            self.holds.insert(hold.id, hold.clone());
        }
        for (_, new) in &set.new_accounts {
            self.accounts.insert(new.id, new.clone());
        }
        for (id, state) in &set.accounts {
            self.check_written(id, state);
            let state = state.clone().settled();
            // As a read of both tables would join them.
            if let Some(account) = self.accounts.get_mut(id) {
                account.balances = state.standing.balances;
                account.status = state.status;
            }
            self.states.insert(*id, state);
        }
    }

    /// What is not marked as changed is as it was: it would not be written.
    fn check_written(&self, id: &AccountId, state: &AccountState) {
        let usages = |state: &AccountState| -> Vec<Usage> {
            state.limited.iter().flat_map(|limited| limited.usages.clone()).collect()
        };
        let before = self.states.get(id);
        let known = before.map(usages).unwrap_or_default();
        assert!(usages(state).iter().all(|one| one.changed || known.contains(one)), "{state:?}");
        let standing = before.map(|before| before.standing).unwrap_or_default();
        assert!(state.standing.changed || state.standing == standing, "{state:?}");
    }

    fn reversals(&self) -> impl Iterator<Item = (TransactionId, &Transaction)> {
        self.transactions.values().filter_map(|one| Some((one.reverses?, one.as_ref())))
    }

    /// Everything that the ledger promises.
    fn check(&self) {
        let last = self.head.map_or(0, |head| head.last_sequence);
        let records = self.accounts.len()
            + self.changes.len()
            + self.limit_changes.len()
            + self.holds.len()
            + self.hold_changes.len()
            + self.transactions.len();
        assert_eq!(usize::try_from(last), Ok(records), "the sequence has gaps");
        for transaction in self.transactions.values() {
            let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
            for leg in &transaction.legs {
                let sign = if leg.direction == Side::Debit { 1 } else { -1 };
                *sums.entry(leg.amount.currency()).or_default() +=
                    sign * i128::from(leg.amount.minor_units());
            }
            assert!(sums.values().all(|sum| *sum == 0), "{transaction:?}");
        }
        self.check_balances();
        self.check_statuses();
        self.check_reversals();
        self.check_holds();
        self.check_limits();
    }

    /// The counters are the sums of the entries and of what is left of pending holds.
    fn check_balances(&self) {
        let mut folded: IdMap<i64, Standing> = IdMap::default();
        for entry in &self.entries {
            let standing = folded.entry(entry.account_sequence).or_default();
            let balances = &mut standing.balances;
            match entry.amount > 0 {
                true => balances.posted_debits += entry.amount,
                false => balances.posted_credits -= entry.amount,
            }
            let side = self.state(entry.account_sequence).normal_side;
            assert_eq!(balances.posted(side), entry.balance_after);
            assert_eq!(standing.last_entry, entry.previous);
            standing.last_entry = Some(entry.entry_key);
            standing.entry_count += 1;
            assert_eq!(entry.is_mark, standing.entry_count % ENTRIES_PER_MARK == 0);
        }
        for legs in self.hold_legs.chunk_by(|one, next| one.hold_sequence == next.hold_sequence) {
            for leg in legs {
                let before = folded.get(&leg.account_sequence).and_then(|one| one.last_hold);
                assert_eq!(leg.previous, before);
            }
            for leg in legs {
                let standing = folded.entry(leg.account_sequence).or_default();
                standing.last_hold = Some(leg.hold_sequence);
            }
        }
        for hold in self.holds.values().filter(|hold| hold.status == HoldStatus::Pending) {
            for leg in &hold.legs {
                let whole = hold.captured == 0;
                let left = if whole { leg.amount.minor_units() } else { hold.remaining() };
                let account = self.states[&leg.account_id].sequence;
                let balances = &mut folded.entry(account).or_default().balances;
                match leg.direction {
                    Side::Debit => balances.pending_debits += left,
                    Side::Credit => balances.pending_credits += left,
                }
            }
        }
        for state in self.states.values() {
            assert_eq!(folded.remove(&state.sequence).unwrap_or_default(), state.standing);
            let available = state.standing.balances.available(state.normal_side);
            assert!(state.lowest_available.is_none_or(|lowest| available >= lowest), "{state:?}");
        }
        assert!(folded.is_empty(), "entries on no account");
    }

    /// A status is the last one that it became; entries are on accounts that were open then.
    fn check_statuses(&self) {
        let before = |account: i64, sequence: i64| {
            let mut changes = self.changes.iter().filter(|one| one.account_sequence == account);
            let last = changes.rfind(|one| one.sequence < sequence);
            last.map_or(AccountStatus::Open, |one| one.status)
        };
        for state in self.states.values() {
            assert_eq!(before(state.sequence, i64::MAX), state.status);
            assert!(state.status != AccountStatus::Closed || state.standing.balances.is_empty());
        }
        for change in &self.changes {
            let from = before(change.account_sequence, change.sequence);
            assert!(from != change.status && from != AccountStatus::Closed, "{change:?}");
        }
        for entry in &self.entries {
            let status = before(entry.account_sequence, transaction_of(entry));
            assert_eq!(status, AccountStatus::Open, "{entry:?}");
        }
    }

    /// Reversals of a transaction together are never more than it was, and they mirror its legs.
    fn check_reversals(&self) {
        let mut taken: IdMap<TransactionId, i64> = IdMap::default();
        for (original, reversal) in self.reversals() {
            let original = &self.transactions[&original];
            assert_eq!(original.reverses, None);
            assert!(original.sequence < reversal.sequence);
            assert_eq!(original.legs.len(), reversal.legs.len());
            for (leg, back) in original.legs.iter().zip(&reversal.legs) {
                assert_eq!(leg.direction, back.direction.opposite());
                assert_eq!((leg.account_id, leg.amount.currency()), {
                    (back.account_id, back.amount.currency())
                });
            }
            *taken.entry(original.id).or_default() += whole(reversal);
            assert!(taken[&original.id] <= whole(original), "{original:?}");
        }
    }

    /// A hold stands where its captures and its end put it, and they take no more than it allows.
    fn check_holds(&self) {
        for hold in self.holds.values() {
            let mut captures: Vec<_> =
                self.transactions.values().filter(|one| one.captures == Some(hold.id)).collect();
            captures.sort_unstable_by_key(|one| one.sequence);
            let captured: i64 = captures.iter().map(|one| whole(one)).sum();
            assert_eq!(captured, hold.captured);
            assert!(captured - hold.amount() <= hold.tolerance, "{hold:?}");
            let sides = |legs: &[Leg]| -> Vec<_> {
                legs.iter().map(|leg| (leg.account_id, leg.direction)).collect()
            };
            for capture in &captures {
                assert!(capture.sequence > hold.sequence && capture.kind == hold.kind);
                assert_eq!(sides(&capture.legs), sides(&hold.legs));
            }
            let ends: Vec<_> =
                self.hold_changes.iter().filter(|end| end.hold_sequence == hold.sequence).collect();
            let (status, ended_by) = match (ends.as_slice(), captures.last()) {
                ([end], _) => (end.status, Some(end.sequence)),
                ([], Some(last)) if hold.status == HoldStatus::Captured => {
                    (HoldStatus::Captured, Some(last.sequence))
                }
                ([], _) => (HoldStatus::Pending, None),
                other => panic!("{other:?}"),
            };
            assert_eq!((hold.status, hold.ended_by), (status, ended_by));
            let is_over = captures.last().is_some_and(|last| hold.ended_by < Some(last.sequence));
            assert!(hold.status == HoldStatus::Pending || !is_over, "captured after its end");
            assert!(hold.status != HoldStatus::Pending || captured < hold.amount());
        }
    }

    /// What is used of the limits that an account was given once is what went through it since, and no more
    /// than they allow.
    fn check_limits(&self) {
        for (id, state) in &self.states {
            let changes = self.limit_changes.iter();
            let mut changes = changes.filter(|one| one.account_sequence == state.sequence);
            let Some(limited) = &state.limited else {
                assert!(changes.next().is_none());
                continue;
            };
            let (Some(first), None) = (changes.next(), changes.next()) else { continue };
            for used in limited.in_use(noon()).limits {
                let (limit, since) = (&used.limit, first.sequence);
                let (mut minor_units, mut uses) = (0, 0);
                let mut count = |kind: &str, net: i64, use_count: i64| {
                    let is_out = limit.direction == Direction::Outgoing;
                    let of_kind = limit.kind.as_deref().is_none_or(|one| one == kind);
                    if of_kind && net != 0 && (net < 0) == is_out {
                        minor_units += net.abs();
                        uses += use_count;
                    }
                };
                for one in self.transactions.values().filter(|one| one.sequence > since) {
                    if one.reverses.is_none() && one.captures.is_none() {
                        count(&one.kind, net(&one.legs, *id, state.normal_side), 1);
                    }
                }
                for hold in self.holds.values() {
                    let beyond = (hold.captured - hold.amount()).max(0);
                    let taken = hold.captured + hold.remaining() - beyond;
                    let unit = net(&hold.legs, *id, state.normal_side).signum();
                    let of_legs = |taken: i64| match hold.legs.len() {
                        2 => unit * taken,
                        _ if taken == 0 => 0,
                        _ => net(&hold.legs, *id, state.normal_side),
                    };
                    if hold.sequence > since {
                        count(&hold.kind, of_legs(taken), 1);
                    }
                    if hold.ended_by > Some(since) && beyond > 0 {
                        count(&hold.kind, unit * beyond, 0);
                    }
                }
                if limit.period != Period::Transaction {
                    assert_eq!((used.used_minor_units, used.used_count), (minor_units, uses));
                    assert!(limit.minor_units.is_none_or(|most| minor_units <= most));
                    assert!(limit.count.is_none_or(|most| uses <= most));
                }
            }
        }
    }

    fn state(&self, sequence: i64) -> &AccountState {
        self.states.values().find(|state| state.sequence == sequence).unwrap()
    }
}

/// What legs leave an account with, above zero when it gains.
fn net(legs: &[Leg], account: AccountId, side: Side) -> i64 {
    let own = legs.iter().filter(|leg| leg.account_id == account);
    own.map(|leg| leg.amount.minor_units() * if leg.direction == side { 1 } else { -1 }).sum()
}

fn whole(transaction: &Transaction) -> i64 {
    transaction.legs[0].amount.minor_units()
}

/// Outcomes but for whether they are replays, and for what of an account goes on.
fn contents(decided: &[Decided]) -> Vec<String> {
    decided.iter().map(|one| format!("{:?}", one.clone().map(content))).collect()
}

fn content(outcome: Outcome) -> Vec<String> {
    match outcome {
        Outcome::Account(Recorded { record, .. }) => {
            let (balances, status) = (Balances::default(), AccountStatus::Open);
            vec![format!("{:?}", Account { balances, status, ..record })]
        }
        Outcome::Limits(limits) => vec![format!("{limits:?}")],
        Outcome::Held(held) => {
            let made = Hold {
                status: HoldStatus::Pending,
                captured: 0,
                ended_by: None,
                released_by: None,
                ..held.record
            };
            vec![format!("{made:?}")]
        }
        Outcome::Posted(posted) => vec![format!("{:?}", posted.record)],
        Outcome::PostedAll(posted) => {
            posted.iter().map(|one| format!("{:?}", one.record)).collect()
        }
        Outcome::PostedEach(outcomes) => outcomes
            .iter()
            .map(|one| format!("{:?}", one.as_ref().map(|one| &one.record)))
            .collect(),
    }
}

/// What of a command was done and will be recognised by its ids, and what came of it; `None` if nothing
/// was.
fn done_part(command: Command, decided: Decided) -> Option<(Command, Decided)> {
    match (command, decided.ok()?) {
        (Command::DryRun(_) | Command::ChangeStatus(_) | Command::SetLimits(_), _) => None,
        (Command::PostEach(chains), Outcome::PostedEach(outcomes)) => {
            let (mut done, mut posted) = (Vec::new(), Vec::new());
            let mut outcomes = outcomes.into_iter();
            for chain in chains {
                let chain_outcomes: Vec<_> = outcomes.by_ref().take(chain.len()).collect();
                if chain_outcomes.iter().all(Result::is_ok) {
                    done.push(chain);
                    posted.extend(chain_outcomes);
                }
            }
            Some((Command::PostEach(done), Ok(Outcome::PostedEach(posted))))
        }
        (command, outcome) => Some((command, Ok(outcome))),
    }
}

fn is_dry(command: &Command) -> bool {
    matches!(command, Command::DryRun(_))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn whatever_comes_the_books_add_up(commands in any_commands(), group_max in 1..20_usize) {
        let mut memory = Memory::default();
        memory.carry_out(&commands, group_max);
        memory.check();
    }

    #[test]
    fn limits_count_all_that_goes_to_and_fro(
        commands in busy_commands(), group_max in 1..20_usize,
    ) {
        let mut memory = Memory::default();
        memory.carry_out(&commands, group_max);
        memory.check();
    }

    #[test]
    fn how_commands_are_grouped_changes_nothing(commands in any_commands(), group_max in 2..90_usize) {
        let (mut alone, mut grouped) = (Memory::default(), Memory::default());
        let decided = alone.carry_out(&commands, 1);
        prop_assert_eq!(contents(&decided), contents(&grouped.carry_out(&commands, group_max)));
        prop_assert_eq!(alone.entries, grouped.entries);
        prop_assert_eq!(alone.changes, grouped.changes);
        prop_assert_eq!(alone.limit_changes, grouped.limit_changes);
        prop_assert_eq!(alone.hold_changes, grouped.hold_changes);
        prop_assert_eq!(alone.holds, grouped.holds);
    }

    /// Whoever was told "done" hears the same again, and nothing moves. (Who was refused may now be
    /// luckier, and is left out.)
    #[test]
    fn all_that_was_done_can_be_sent_again(commands in any_commands(), group_max in 1..20_usize) {
        let mut memory = Memory::default();
        let first = memory.carry_out(&commands, group_max);
        let done = commands.into_iter().zip(first);
        let done: Vec<_> = done.filter_map(|(command, one)| done_part(command, one)).collect();
        let (commands, first): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let (head, entries) = (memory.head, memory.entries.clone());
        let again = memory.carry_out(&commands, group_max);
        prop_assert_eq!(contents(&again), contents(&first));
        prop_assert_eq!((memory.head, &memory.entries), (head, &entries));
    }

    #[test]
    fn what_is_refused_or_only_tried_changes_nothing(commands in any_commands()) {
        let mut set = Memory::default().load();
        for command in &commands {
            let before = all_of(&set);
            if set.decide(command).is_err() || is_dry(command) {
                prop_assert_eq!(&all_of(&set), &before, "{:?}", command);
            }
        }
    }

    #[test]
    fn a_journal_is_the_same_without_its_dry_runs(
        commands in any_commands(), group_max in 1..20_usize,
    ) {
        let (mut with, mut without) = (Memory::default(), Memory::default());
        with.carry_out(&commands, group_max);
        let earnest: Vec<_> = commands.into_iter().filter(|command| !is_dry(command)).collect();
        without.carry_out(&earnest, group_max);
        prop_assert_eq!(with.head, without.head);
        prop_assert_eq!(with.entries, without.entries);
        prop_assert_eq!(with.changes, without.changes);
        prop_assert_eq!(with.limit_changes, without.limit_changes);
        prop_assert_eq!(with.hold_changes, without.hold_changes);
        prop_assert_eq!(with.holds, without.holds);
        prop_assert_eq!(with.transactions, without.transactions);
    }

    /// All or none is the same as one after the other, if none of them is refused.
    #[test]
    fn a_batch_is_its_transactions_one_after_the_other(
        commands in any_commands(), batch in prop::collection::vec(any_transaction(), 0..6),
    ) {
        let (mut together, mut apart) = (Memory::default(), Memory::default());
        together.carry_out(&commands, 7);
        apart.carry_out(&commands, 7);
        let entries = together.entries.clone();
        let all = together.commit(&[Command::PostAll(batch.clone())]).remove(0);
        let posts: Vec<_> = batch.into_iter().map(Command::Post).collect();
        let each = apart.commit(&posts);
        let refused = each.iter().position(Result::is_err);
        match (all, refused) {
            (Ok(_), None) => prop_assert_eq!(together.entries, apart.entries),
            (Err(Refusal::InBatch { index, .. }), Some(first)) => {
                prop_assert_eq!(index, first);
                prop_assert_eq!(together.entries, entries);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
