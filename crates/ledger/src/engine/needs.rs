//! What a group has to know before it can be decided.

use super::Command;
use super::cache::Greatest;
use ledger_api::{AccountId, Hold, HoldId, Transaction, TransactionId};

/// The ids of everything that the commands of a group are about, each once and in order.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Transactions to post or to reverse.
    pub(super) transactions: Vec<TransactionId>,
    /// Transactions to reverse.
    pub(super) originals: Vec<TransactionId>,
    /// Holds to make, to capture or to release.
    pub(super) holds: Vec<HoldId>,
    /// Accounts to open or to change.
    pub(super) subjects: Vec<AccountId>,
    /// Accounts that the group touches. Those of originals and holds come with [`Self::add_touched`].
    pub(super) accounts: Vec<AccountId>,
}

impl Needs {
    pub(super) fn of(commands: &[Command]) -> Self {
        let mut needs = Self::default();
        for command in commands {
            needs.add(command);
        }
        needs.accounts.extend(&needs.subjects);
        once(&mut needs.transactions);
        once(&mut needs.originals);
        once(&mut needs.holds);
        once(&mut needs.subjects);
        once(&mut needs.accounts);
        needs
    }

    fn add(&mut self, command: &Command) {
        match command {
            Command::OpenAccount(account) => self.subjects.push(account.id),
            Command::ChangeStatus(change) => self.subjects.push(change.account),
            Command::SetLimits(change) => self.subjects.push(change.account),
            Command::Reverse(reversal) => {
                self.transactions.extend([reversal.id, reversal.original]);
                self.originals.push(reversal.original);
            }
            Command::Hold(hold) => {
                self.holds.push(hold.id);
                self.accounts.extend(hold.legs.iter().map(|leg| leg.account_id));
            }
            Command::Capture(capture) => {
                self.transactions.push(capture.id);
                self.holds.push(capture.hold);
            }
            Command::Release(release) => self.holds.push(release.hold),
            Command::DryRun(command) => self.add(command),
            Command::Post(_) | Command::PostAll(_) | Command::PostEach(_) => {
                for transaction in command.postings() {
                    self.transactions.push(transaction.id);
                    self.accounts.extend(transaction.legs.iter().map(|leg| leg.account_id));
                }
            }
        }
    }

    /// Leaves out the transactions and holds that cannot be there.
    pub(super) fn leave_out_new(&mut self, greatest: Greatest) {
        self.transactions.retain(|id| *id <= greatest.transaction);
        self.holds.retain(|id| *id <= greatest.hold);
    }

    /// A reversal touches the accounts of its original, and a hold's capture or release those of the hold.
    pub(super) fn add_touched<'a>(
        &mut self,
        originals: impl Iterator<Item = &'a Transaction>,
        holds: impl Iterator<Item = &'a Hold>,
    ) {
        let known = self.accounts.len();
        let reversed = originals.flat_map(|original| &original.legs);
        self.accounts.extend(reversed.map(|leg| leg.account_id));
        self.accounts.extend(holds.flat_map(|hold| hold.accounts()));
        if self.accounts.len() > known {
            once(&mut self.accounts);
        }
    }
}

fn once<T: Ord>(ids: &mut Vec<T>) {
    ids.sort_unstable();
    ids.dedup();
}
