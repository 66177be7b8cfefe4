//! Random commands in random groups: what must hold for all of them.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::*;
use ledger_api::{Account, Constraint, NewAccount};
use proptest::prelude::*;
use std::collections::HashMap;

/// A store in memory: what the writers of the engine do, without SQL.
#[derive(Default)]
struct Memory {
    head: Option<Head>,
    states: HashMap<AccountId, AccountState>,
    accounts: HashMap<AccountId, Account>,
    transactions: HashMap<TransactionId, Transaction>,
    /// Account number, amount, balance after; in the order of the journal.
    entries: Vec<(i64, i64, i64)>,
}

type Decided = Result<String, Refusal>;

impl Memory {
    /// Carries out the commands in groups of `group_max`. A recorded time depends on nothing but `now`.
    fn carry_out(&mut self, commands: &[Command], group_max: usize) -> Vec<Decided> {
        commands.chunks(group_max).flat_map(|group| self.commit(group)).collect()
    }

    fn commit(&mut self, group: &[Command]) -> Vec<Decided> {
        let start = Head { last_sequence: 0, last_recorded_at: Timestamp::EPOCH };
        let mut set = WorkingSet::new(self.head.unwrap_or(start), noon());
        set.accounts = self.states.clone();
        set.existing_accounts = self.accounts.clone();
        set.existing_transactions = self.transactions.clone();
        let decided = group.iter().map(|command| set.decide(command).map(content)).collect();
        self.head = Some(set.head);
        for new in set.transactions_to_write() {
            self.transactions.insert(new.id, new.clone());
        }
        for entry in &set.new_entries {
            self.entries.push((entry.account_sequence, entry.amount, entry.balance_after));
        }
        for (_, new) in &set.new_accounts {
            self.accounts.insert(new.id, new.clone());
        }
        for (id, state) in &set.accounts {
            self.states.insert(*id, AccountState { changed: false, ..state.clone() });
            // As a read of both tables would join them.
            if let Some(account) = self.accounts.get_mut(id) {
                account.balances = state.balances;
            }
        }
        decided
    }

    /// Everything that the ledger promises.
    fn check(&self) {
        let last = self.head.map_or(0, |head| head.last_sequence);
        let records = self.accounts.len() + self.transactions.len();
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
        let mut folded: HashMap<i64, Balances> = HashMap::new();
        for (number, amount, balance_after) in &self.entries {
            let balances = folded.entry(*number).or_default();
            match *amount > 0 {
                true => balances.posted_debits += amount,
                false => balances.posted_credits -= amount,
            }
            let state = self.states.values().find(|state| state.sequence == *number).unwrap();
            assert_eq!(balances.posted(state.normal_side), *balance_after);
        }
        for state in self.states.values() {
            assert_eq!(folded.remove(&state.sequence).unwrap_or_default(), state.balances);
            let available = state.balances.available(state.normal_side);
            assert!(state.lowest_available.is_none_or(|lowest| available >= lowest), "{state:?}");
        }
        assert!(folded.is_empty(), "entries on no account");
    }
}

/// An outcome but for whether it is a replay, and for balances, which go on.
fn content(outcome: Outcome) -> String {
    match outcome {
        Outcome::Opened(opened) => {
            format!("{:?}", Account { balances: Balances::default(), ..opened.record })
        }
        Outcome::Posted(posted) => format!("{:?}", posted.record),
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
fn any_transaction() -> impl Strategy<Value = Command> {
    let amount = prop_oneof![20 => 1..100_i64, 1 => -1..1_i64, 1 => Just(i64::MAX)];
    let pair = (0..7_u128, 0..7_u128, amount).prop_map(|(from, to, amount)| {
        let leg = |number, direction| Leg {
            account_id: account(number),
            direction,
            amount: Money::new(amount, currency(from)),
        };
        vec![leg(from, Side::Debit), leg(to, Side::Credit)]
    });
    let pairs = prop::collection::vec(pair, 1..4);
    (0..40_u128, pairs, 0..20_u8).prop_map(|(id, pairs, odd)| {
        let mut legs = pairs.concat();
        if odd == 0 {
            legs.pop();
        }
        Command::Post(transaction(id, &legs))
    })
}

fn any_commands() -> impl Strategy<Value = Vec<Command>> {
    let first = prop::collection::vec(any_account(), 4..12);
    let rest =
        prop::collection::vec(prop_oneof![1 => any_account(), 9 => any_transaction()], 0..80);
    (first, rest).prop_map(|(first, rest)| [first, rest].concat())
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
        prop_assert_eq!(alone.carry_out(&commands, 1), grouped.carry_out(&commands, group_max));
        prop_assert_eq!(alone.entries, grouped.entries);
    }

    /// Whoever was told "done" hears the same again, and nothing moves. (Who was refused may now be
    /// luckier, and is left out.)
    #[test]
    fn all_that_was_done_can_be_sent_again(commands in any_commands(), group_max in 1..20_usize) {
        let mut memory = Memory::default();
        let first = memory.carry_out(&commands, group_max);
        let done: Vec<_> =
            commands.into_iter().zip(first).filter(|(_, decided)| decided.is_ok()).collect();
        let (commands, first): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let (head, entries) = (memory.head, memory.entries.clone());
        prop_assert_eq!(memory.carry_out(&commands, group_max), first);
        prop_assert_eq!((memory.head, memory.entries), (head, entries));
    }
}
