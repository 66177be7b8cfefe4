//! The reference ledger: what the ledger promises, said as plainly as possible. It keeps lists, and adds
//! them up anew for each question; to undo something it goes back to a copy. It has no store, no group, no
//! cache and none of the engine's code.

mod holds;
mod limits;
mod postings;
mod reads;

use crate::commands::{Answer, Command};
use kernel::{Money, Timestamp};
use ledger_api::{
    Account, AccountId, AccountStatus, Balances, Constraint, Hold, HoldStatus, Leg, NewAccount,
    Recorded, Refusal, Side, StatusChange, Transaction,
};
use limits::LimitEvent;
pub(crate) use postings::PostedEach;
pub(crate) use reads::Statement;
use std::collections::BTreeMap;

/// All that was ever done, in order.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    /// The machine's clock, which may run backwards.
    pub(crate) now: Timestamp,
    /// When each record of the journal was made: the first is number 1.
    records: Vec<Timestamp>,
    accounts: BTreeMap<AccountId, Opened>,
    transactions: Vec<Transaction>,
    holds: Vec<Hold>,
    limit_events: Vec<(AccountId, Timestamp, LimitEvent)>,
}

#[derive(Clone, Debug)]
struct Opened {
    new: NewAccount,
    at: Timestamp,
    status: AccountStatus,
}

/// What a command does to one account by one leg, in minor units.
struct Move {
    leg: Leg,
    posted: i128,
    held: i128,
}

impl Reference {
    pub(crate) fn at(now: Timestamp) -> Self {
        Self {
            now,
            records: Vec::new(),
            accounts: BTreeMap::new(),
            transactions: Vec::new(),
            holds: Vec::new(),
            limit_events: Vec::new(),
        }
    }

    pub(crate) fn carry_out(&mut self, command: &Command) -> Answer {
        let before = self.clone();
        let answer = match command {
            Command::Open(new) => self.open(new).map(Answer::Account),
            Command::ChangeStatus(change) => self.change_status(change).map(Answer::Account),
            Command::SetLimits(change) => self.set_limits(change).map(Answer::Limits),
            Command::Post(new) => self.post(new).map(Answer::Posted),
            Command::Reverse(new) => self.reverse(new).map(Answer::Posted),
            Command::Hold(new) => self.hold(new).map(Answer::Held),
            Command::Capture(new) => self.capture(new).map(Answer::Posted),
            Command::Release(release) => self.release(release).map(Answer::Held),
            Command::PostAll(batch) => self.post_all(batch).map(Answer::PostedAll),
            Command::PostEach(chains) => Ok(Answer::PostedEach(self.post_each(chains))),
            Command::DryRun(command) => {
                let answer = self.carry_out(command);
                *self = before.clone();
                return answer;
            }
        };
        answer.unwrap_or_else(|refusal| {
            *self = before;
            Answer::Refused(refusal)
        })
    }

    /// The journal's time, which never runs backwards.
    pub(crate) fn recording_time(&self) -> Timestamp {
        self.records.last().map_or(self.now, |last| self.now.max(*last))
    }

    /// Makes one more record and tells its number.
    fn record(&mut self) -> i64 {
        self.records.push(self.recording_time());
        self.last_sequence()
    }

    fn last_sequence(&self) -> i64 {
        i64::try_from(self.records.len()).unwrap()
    }

    fn open(&mut self, new: &NewAccount) -> Result<Recorded<Account>, Refusal> {
        let lowest = lowest_available(new.constraint);
        if let Some(opened) = self.accounts.get(&new.id) {
            let old = &opened.new;
            let is_same = (&old.name, old.currency, old.normal_side)
                == (&new.name, new.currency, new.normal_side)
                && lowest_available(old.constraint) == lowest;
            return match self.account(new.id).filter(|_| is_same) {
                Some(record) => Ok(Recorded { record, replayed: true }),
                None => Err(Refusal::IdReused),
            };
        }
        check_text("name", &new.name, 1, 200)?;
        if matches!(new.constraint, Constraint::CreditLimit(limit) if limit < 0) {
            return Err(Refusal::CreditLimitNegative);
        }
        let at = self.recording_time();
        self.record();
        self.accounts.insert(new.id, Opened { new: new.clone(), at, status: AccountStatus::Open });
        Ok(Recorded { record: self.account(new.id).unwrap(), replayed: false })
    }

    fn change_status(&mut self, change: &StatusChange) -> Result<Recorded<Account>, Refusal> {
        check_text("reason", &change.reason, 1, 500)?;
        let id = change.account;
        let account = self.account(id).ok_or(Refusal::AccountUnknown { account: id })?;
        let (from, to) = (account.status, change.to);
        if from == to {
            return Ok(Recorded { record: account, replayed: true });
        }
        if from == AccountStatus::Closed {
            return Err(Refusal::StatusNotReachable { from, to });
        }
        let Balances { posted_debits, posted_credits, pending_debits, pending_credits } =
            account.balances;
        let is_empty =
            posted_debits == posted_credits && (pending_debits, pending_credits) == (0, 0);
        if to == AccountStatus::Closed && !is_empty {
            let balance = Money::new(narrow(posted(&account)), account.currency);
            return Err(Refusal::AccountNotEmpty { balance });
        }
        self.record();
        self.accounts.get_mut(&id).unwrap().status = to;
        Ok(Recorded { record: self.account(id).unwrap(), replayed: false })
    }

    /// An account with what its entries and its pending holds add up to.
    pub(crate) fn account(&self, id: AccountId) -> Option<Account> {
        let Opened { new, at, status } = self.accounts.get(&id)?.clone();
        let mut balances = Balances::default();
        for leg in self.transactions.iter().flat_map(|one| &one.legs) {
            if leg.account_id == id {
                match leg.direction {
                    Side::Debit => balances.posted_debits += leg.amount.minor_units(),
                    Side::Credit => balances.posted_credits += leg.amount.minor_units(),
                }
            }
        }
        for hold in self.holds.iter().filter(|hold| hold.status == HoldStatus::Pending) {
            for leg in hold.legs.iter().filter(|leg| leg.account_id == id) {
                let left = leg.amount.minor_units() - hold.captured;
                match leg.direction {
                    Side::Debit => balances.pending_debits += left,
                    Side::Credit => balances.pending_credits += left,
                }
            }
        }
        let constraint = match new.constraint {
            Constraint::CreditLimit(0) => Constraint::NonNegative,
            other => other,
        };
        Some(Account {
            id,
            name: new.name,
            currency: new.currency,
            normal_side: new.normal_side,
            constraint,
            status,
            opened_at: at,
            balances,
        })
    }

    /// Whether the accounts of the legs take what is moved: they are there, in the right currency and open;
    /// their counters have room; and none that loses is left below its constraint.
    fn check_accounts(&self, moves: &[Move]) -> Result<(), Refusal> {
        let account_of = |one: &Move| self.account(one.leg.account_id);
        for (leg, one) in moves.iter().enumerate() {
            let account = one.leg.account_id;
            account_of(one).ok_or(Refusal::AccountNotFound { leg, account })?;
        }
        for (leg, one) in moves.iter().enumerate() {
            let Account { id: account, currency: held, .. } = account_of(one).unwrap();
            if held != one.leg.amount.currency() {
                return Err(Refusal::CurrencyMismatch { leg, account, held });
            }
        }
        for (leg, one) in moves.iter().enumerate() {
            let Account { id: account, status, .. } = account_of(one).unwrap();
            if status != AccountStatus::Open {
                return Err(Refusal::AccountNotOpen { leg, account, status });
            }
        }
        for (leg, one) in moves.iter().enumerate() {
            let Account { id: account, balances, .. } = account_of(one).unwrap();
            let (mut posted, mut pending): (i128, i128) = match one.leg.direction {
                Side::Debit => (balances.posted_debits.into(), balances.pending_debits.into()),
                Side::Credit => (balances.posted_credits.into(), balances.pending_credits.into()),
            };
            for earlier in moves[..=leg].iter().filter(|earlier| {
                (earlier.leg.account_id, earlier.leg.direction) == (account, one.leg.direction)
            }) {
                posted += earlier.posted;
                pending += earlier.held;
            }
            let most: i128 = i64::MAX.into();
            if posted > most || pending > most {
                return Err(Refusal::BalanceOverflow { leg, account });
            }
        }
        for id in accounts_of(moves.iter().map(|one| &one.leg)) {
            let account = self.account(id).unwrap();
            let Some(lowest) = lowest_available(account.constraint) else { continue };
            let before = available(&account);
            let mut after = before;
            for one in moves.iter().filter(|one| one.leg.account_id == id) {
                // What comes in counts once it is posted, what goes out as soon as it is held.
                after += match one.leg.direction == account.normal_side {
                    true => one.posted,
                    false => -one.posted - one.held,
                };
            }
            if after < before && after < lowest {
                let money = |amount: i128| Money::new(narrow(amount), account.currency);
                return Err(Refusal::InsufficientFunds {
                    account: id,
                    available: money((before - lowest).max(0)),
                    required: money(before - after),
                });
            }
        }
        Ok(())
    }
}

/// The accounts of the legs in the order of each one's last leg.
fn accounts_of<'a>(legs: impl IntoIterator<Item = &'a Leg>) -> Vec<AccountId> {
    let mut accounts = Vec::new();
    for leg in legs {
        accounts.retain(|account| *account != leg.account_id);
        accounts.push(leg.account_id);
    }
    accounts
}

/// What legs leave an account with: above zero when it gains.
fn net(legs: &[Leg], account: &Account) -> i128 {
    let own = legs.iter().filter(|leg| leg.account_id == account.id);
    let signed = own.map(|leg| {
        let amount = i128::from(leg.amount.minor_units());
        if leg.direction == account.normal_side { amount } else { -amount }
    });
    signed.sum()
}

fn posted(account: &Account) -> i128 {
    let Balances { posted_debits, posted_credits, .. } = account.balances;
    let credit_balance = i128::from(posted_credits) - i128::from(posted_debits);
    if account.normal_side == Side::Credit { credit_balance } else { -credit_balance }
}

fn available(account: &Account) -> i128 {
    let outgoing = match account.normal_side {
        Side::Credit => account.balances.pending_debits,
        Side::Debit => account.balances.pending_credits,
    };
    posted(account) - i128::from(outgoing)
}

fn lowest_available(constraint: Constraint) -> Option<i128> {
    match constraint {
        Constraint::NonNegative => Some(0),
        Constraint::CreditLimit(limit) => Some(-i128::from(limit)),
        Constraint::Unlimited => None,
    }
}

fn narrow(amount: i128) -> i64 {
    i64::try_from(amount.clamp(i64::MIN.into(), i64::MAX.into())).unwrap()
}

fn check_text(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), Refusal> {
    let chars = text.chars().count();
    if chars < min || chars > max || text.contains('\0') {
        return Err(Refusal::TextInvalid { field, min, max });
    }
    Ok(())
}

fn check_texts(
    kind: &str,
    description: Option<&String>,
    reference: Option<&String>,
) -> Result<(), Refusal> {
    check_text("kind", kind, 1, 64)?;
    check_text("description", description.map_or("", String::as_str), 0, 500)?;
    check_text("reference", reference.map_or("", String::as_str), 0, 200)
}

fn check_amounts(legs: &[Leg]) -> Result<(), Refusal> {
    if legs.len() < 2 || legs.len() > 1_000 {
        return Err(Refusal::LegCount { count: legs.len() });
    }
    match legs.iter().position(|leg| leg.amount.minor_units() <= 0) {
        Some(leg) => Err(Refusal::AmountNotPositive { leg }),
        None => Ok(()),
    }
}

/// The first currency of the legs in which they do not sum to zero is told.
fn check_sums(legs: &[Leg]) -> Result<(), Refusal> {
    for leg in legs {
        let currency = leg.amount.currency();
        let sum = |side: Side| -> i128 {
            let of_side = legs.iter().filter(|one| one.direction == side);
            let of_side = of_side.filter(|one| one.amount.currency() == currency);
            of_side.map(|one| i128::from(one.amount.minor_units())).sum()
        };
        let (debits, credits) = (sum(Side::Debit), sum(Side::Credit));
        if debits != credits {
            return Err(Refusal::Unbalanced { currency, debits, credits });
        }
    }
    Ok(())
}
