//! A group of commands that share one commit.

use super::{Command, Decisions, Waiting};
use ledger_api::{AccountId, LedgerError, TransactionId};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

pub(super) struct Group {
    pub(super) commands: Vec<Command>,
    answers: Vec<oneshot::Sender<Result<super::Outcome, LedgerError>>>,
}

impl Group {
    pub(super) fn new(waiting: impl Iterator<Item = Waiting>) -> Self {
        let (commands, answers) = waiting.map(|one| (one.command, one.answer)).unzip();
        Self { commands, answers }
    }

    /// The first half and the rest; `Err` with the group itself when it is a single command.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Self> {
        let half = self.commands.len() / 2;
        if half == 0 {
            return Err(self);
        }
        let rest =
            Self { commands: self.commands.split_off(half), answers: self.answers.split_off(half) };
        Ok((self, rest))
    }

    /// The accounts that the group touches, each once, in id order.
    pub(super) fn account_ids(&self) -> Vec<AccountId> {
        let mut ids = BTreeSet::new();
        for command in &self.commands {
            match command {
                Command::OpenAccount(account) => {
                    ids.insert(account.id);
                }
                Command::Post(transaction) => {
                    ids.extend(transaction.legs.iter().map(|leg| leg.account_id));
                }
            }
        }
        ids.into_iter().collect()
    }

    /// The ids of the transactions to post.
    pub(super) fn transaction_ids(&self) -> Vec<TransactionId> {
        self.commands
            .iter()
            .filter_map(|command| match command {
                Command::Post(transaction) => Some(transaction.id),
                Command::OpenAccount(_) => None,
            })
            .collect()
    }

    /// Tells everyone who still waits. A group that could not be written has one cause for all.
    pub(super) fn answer<E>(self, outcomes: Result<Decisions, E>)
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        match outcomes {
            Ok(decisions) => {
                for (answer, decision) in self.answers.into_iter().zip(decisions) {
                    // Nobody waits any more when the caller has gone away.
                    drop(answer.send(decision.map_err(LedgerError::Refused)));
                }
            }
            Err(error) => {
                tracing::error!(%error, commands = self.commands.len(), "a group was not written");
                let error = Arc::new(error);
                for answer in self.answers {
                    let shared = Box::new(Shared(error.clone()));
                    drop(answer.send(Err(LedgerError::Unavailable(shared))));
                }
            }
        }
    }
}

/// One cause for many answers.
#[derive(Debug)]
struct Shared<E>(Arc<E>);

impl<E: std::error::Error> std::fmt::Display for Shared<E> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Shared<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
