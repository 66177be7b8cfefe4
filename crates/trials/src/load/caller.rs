//! Asking until there is an answer.

use super::fleet::{Fleet, Server};
use crate::wire::{Answer, NoAnswer, Wire};
use anyhow::bail;
use serde_json::Value;
use std::time::{Duration, Instant};

/// Before the next attempt when a server went away, or said that it cannot now.
pub(super) const PAUSE: Duration = Duration::from_millis(25);

/// The longest that an answer may be owed, whatever was killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// An answer and its times.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// When the first attempt was sent.
    pub(crate) begun: u64,
    /// When the attempt was sent that was answered.
    pub(crate) last_begun: u64,
    pub(crate) ended: u64,
    /// Whether an attempt had been sent before of which the outcome was not known.
    pub(crate) was_unknown: bool,
    /// Which server answered.
    pub(crate) server: usize,
    pub(crate) answer: Answer,
}

/// One client's way to the servers.
#[derive(Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) fleet: &'a Fleet,
    wire: Wire,
    /// Moves on with every attempt, so that a retry goes to another server.
    next: usize,
}

impl<'a> Caller<'a> {
    pub(crate) fn new(fleet: &'a Fleet, first: usize) -> Self {
        Self { fleet, wire: Wire::new(), next: first }
    }

    /// Another one, who asks another server at the same time, if there is one.
    pub(crate) fn beside(&self) -> Self {
        Self { fleet: self.fleet, wire: self.wire.clone(), next: self.next.wrapping_add(1) }
    }

    /// Asks until there is an answer for good, each time another server.
    pub(crate) async fn ask(&mut self, path: &str, body: Option<&Value>) -> anyhow::Result<Asked> {
        let begun = self.fleet.now();
        let asked = Instant::now();
        let mut was_unknown = false;
        loop {
            if asked.elapsed() > PATIENCE {
                bail!("no answer for good in {} s: {path} {body:?}", PATIENCE.as_secs());
            }
            self.next = self.next.wrapping_add(1);
            let Some(Server { number, base }) = self.fleet.server(self.next) else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let session = self.fleet.session();
            let last_begun = self.fleet.now();
            let answer = self.wire.send(&base, Some(&session.token), path, body).await;
            let ended = self.fleet.now();
            match answer {
                Ok(answer) if answer.status == 401 => {
                    if !self.fleet.may_refuse(&session) {
                        bail!("a session that counts was refused: {answer:?} to {path}");
                    }
                    self.fleet.sign_in(&self.wire, &base, &session).await?;
                }
                Ok(answer) if answer.is_unavailable() => {
                    was_unknown |= !answer.is_busy();
                    self.fleet.was_unavailable(&answer, last_begun);
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(answer) if answer.status >= 500 => {
                    bail!("an unclear answer: {answer:?} to {path} {body:?}");
                }
                Ok(answer) => {
                    let server = number;
                    return Ok(Asked { begun, last_begun, ended, was_unknown, server, answer });
                }
                Err(NoAnswer::Silence) => bail!("a server keeps silent: {path} {body:?}"),
                Err(none) => {
                    was_unknown |= matches!(none, NoAnswer::Lost);
                    self.fleet.had_no_answer(&none);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}
