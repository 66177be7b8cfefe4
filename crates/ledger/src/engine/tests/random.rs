//! Random commands in random groups: what must hold for all of them.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::*;
use crate::engine::decide::NewChange;
use ledger_api::{NewReversal, StatusChange};
use proptest::prelude::*;
use std::collections::HashMap;

/// A store in memory: what the writers of the engine do, without SQL.
#[derive(Default)]
struct Memory {
    head: Option<Head>,
    states: HashMap<AccountId, AccountState>,
    accounts: HashMap<AccountId, Account>,
    transactions: HashMap<TransactionId, Arc<Transaction>>,
    /// In the order of the journal.
    entries: Vec<NewEntry>,
    changes: Vec<NewChange>,
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
        self.changes.extend(set.new_changes.iter().cloned());
        for (_, new) in &set.new_accounts {
            self.accounts.insert(new.id, new.clone());
        }
        for (id, state) in &set.accounts {
            let state = state.clone().settled();
            // As a read of both tables would join them.
            if let Some(account) = self.accounts.get_mut(id) {
                account.balances = state.standing.balances;
                account.status = state.status;
            }
            self.states.insert(*id, state);
        }
    }

    fn reversals(&self) -> impl Iterator<Item = (TransactionId, &Transaction)> {
        self.transactions.values().filter_map(|one| Some((one.reverses?, one.as_ref())))
    }

    /// Everything that the ledger promises.
    fn check(&self) {
        let last = self.head.map_or(0, |head| head.last_sequence);
        let records = self.accounts.len() + self.changes.len() + self.transactions.len();
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
    }

    fn check_balances(&self) {
        let mut folded: HashMap<i64, Balances> = HashMap::new();
        for entry in &self.entries {
            let balances = folded.entry(entry.account_sequence).or_default();
            match entry.amount > 0 {
                true => balances.posted_debits += entry.amount,
                false => balances.posted_credits -= entry.amount,
            }
            let side = self.state(entry.account_sequence).normal_side;
            assert_eq!(balances.posted(side), entry.balance_after);
        }
        for state in self.states.values() {
            assert_eq!(folded.remove(&state.sequence).unwrap_or_default(), state.standing.balances);
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
        let mut taken: HashMap<TransactionId, i64> = HashMap::new();
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

    fn state(&self, sequence: i64) -> &AccountState {
        self.states.values().find(|state| state.sequence == sequence).unwrap()
    }
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
        Outcome::Held(held) => vec![format!("{:?}", held.record)],
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
        (Command::DryRun(_) | Command::ChangeStatus(_), _) => None,
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

fn any_account() -> impl Strategy<Value = Command> {
    let constraint = prop_oneof![
        Just(Constraint::NonNegative),
        Just(Constraint::Unlimited),
        (0..200_i64).prop_map(Constraint::CreditLimit),
    ];
    (0..7_u128, any::<bool>(), constraint).prop_map(|(number, debit, constraint)| {
        Command::OpenAccount(NewAccount {
            id: account(number),
            name: "x".into(),
            // Fixed by the number, so that most transfers meet in one currency.
            currency: currency(number),
            normal_side: if debit { Side::Debit } else { Side::Credit },
            constraint,
        })
    })
}

fn currency(number: u128) -> Currency {
    if number < 5 { Currency::MAD } else { Currency::EUR }
}

/// Pairs of a debit and a credit, most of them in the accounts' currency, at times a leg too much.
fn any_transaction() -> impl Strategy<Value = NewTransaction> {
    let amount = prop_oneof![20 => 1..100_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)];
    let pair = (0..7_u128, 0..7_u128, amount).prop_map(|(from, to, amount)| {
        let leg = |number, direction| Leg {
            account_id: account(number),
            direction,
            amount: Money::new(amount, currency(from)),
        };
        vec![leg(from, Side::Debit), leg(to, Side::Credit)]
    });
    let pairs =
        prop_oneof![prop::collection::vec(pair.clone(), 1), { prop::collection::vec(pair, 1..4) }];
    (0..40_u128, pairs, 0..20_u8).prop_map(|(id, pairs, odd)| {
        let mut legs = pairs.concat();
        if odd == 0 {
            legs.pop();
        }
        transaction(id, &legs)
    })
}

/// Of ids that transactions have, too.
fn any_reversal() -> impl Strategy<Value = Command> {
    let asked = prop::option::of(prop_oneof![8 => 1..60_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)]);
    (30..60_u128, 0..45_u128, asked).prop_map(|(id, original, minor_units)| {
        Command::Reverse(NewReversal {
            id: transaction_id(id),
            original: transaction_id(original),
            minor_units,
            reason: "x".into(),
        })
    })
}

fn any_change() -> impl Strategy<Value = Command> {
    let to = prop_oneof![
        2 => Just(AccountStatus::Frozen),
        5 => Just(AccountStatus::Open),
        1 => Just(AccountStatus::Closed),
    ];
    (0..8_u128, to).prop_map(|(number, to)| {
        Command::ChangeStatus(StatusChange { account: account(number), to, reason: "x".into() })
    })
}

fn any_command() -> impl Strategy<Value = Command> {
    let batch = || prop::collection::vec(any_transaction(), 0..6);
    let command = prop_oneof![
        2 => any_account(),
        9 => any_transaction().prop_map(Command::Post),
        5 => any_reversal(),
        3 => any_change(),
        3 => batch().prop_map(Command::PostAll),
        2 => prop::collection::vec(prop::collection::vec(any_transaction(), 1..4), 0..4)
            .prop_map(Command::PostEach),
    ];
    let dry_run = |command| Command::DryRun(Box::new(command));
    // One in five is only tried; of those, some twice over.
    (command, 0..20_u8).prop_map(move |(command, dry)| match dry {
        0 => dry_run(dry_run(command)),
        1..4 => dry_run(command),
        _ => command,
    })
}

fn any_commands() -> impl Strategy<Value = Vec<Command>> {
    let first = prop::collection::vec(any_account(), 4..12);
    let rest = prop::collection::vec(any_command(), 0..80);
    (first, rest).prop_map(|(first, rest)| [first, rest].concat())
}

fn is_dry(command: &Command) -> bool {
    matches!(command, Command::DryRun(_))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_comes_the_books_add_up(commands in any_commands(), group_max in 1..20_usize) {
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
