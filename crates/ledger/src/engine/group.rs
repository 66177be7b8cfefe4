//! A group of commands that share one commit.

use super::{Command, Decisions, Waiting};
use ledger_api::LedgerError;
use std::sync::Arc;
use tokio::sync::oneshot;

#[derive(Default)]
pub(super) struct Group {
    pub(super) commands: Vec<Command>,
    answers: Vec<oneshot::Sender<Result<super::Outcome, LedgerError>>>,
}

impl Group {
    /// All that waits, in order, in groups of up to `transactions_max`; a batch with more of them is
    /// a group of its own. So one commit stays small, and whoever came first does not wait for all.
    pub(super) fn several(
        waiting: impl Iterator<Item = Waiting>,
        transactions_max: usize,
    ) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        let mut room: usize = 0;
        for Waiting { command, answer } in waiting {
            let size = command.postings().count().max(1);
            if size > room {
                groups.push(Self::default());
                room = transactions_max;
            }
            room = room.saturating_sub(size);
            if let Some(group) = groups.last_mut() {
                group.commands.push(command);
                group.answers.push(answer);
            }
        }
        groups
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
