//! One client: asks for something, waits for the answer, and goes on.

use super::codec::{Accounts, Question, Told};
use super::{Asked, Caller, Fleet};
use crate::dice::Dice;
use crate::history::bank::ENTRIES_KEPT;
use crate::history::{Account, Line, Movement, Operation, Outcome, Read, Request, TREASURY};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use uuid::Uuid;

/// How many records of each sort the clients remember for one another.
const REMEMBERED: usize = 48;

/// The largest amount of a transfer: a good part of what an account has, so that some are refused.
const AMOUNT_MAX: u64 = 400;

/// What clients know of what they all did; the newest of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Transfers that were acknowledged, with their amounts.
    transfers: VecDeque<(Uuid, i64)>,
    /// Holds likewise.
    holds: VecDeque<(Uuid, i64)>,
    /// Whatever was asked for, also before there is an answer.
    asked: VecDeque<Uuid>,
    /// Requests that were acknowledged, with what was told.
    acknowledged: VecDeque<(Request, Vec<Line>)>,
}

fn remember<T>(among: &mut VecDeque<T>, one: T) {
    if among.len() >= REMEMBERED {
        among.pop_front();
    }
    among.push_back(one);
}

/// What a client wrote down.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) operations: Vec<Operation>,
    pub(crate) reads: Vec<Read>,
    /// Operations of which the outcome was unknown for a while.
    pub(crate) unknown: usize,
    /// Those of them that turned out to have been recorded by an attempt that nobody had an answer to.
    pub(crate) resumed: usize,
    /// Requests that two attempts at once asked for, both acknowledged, as one record.
    pub(crate) doubled: usize,
    /// Requests that had been acknowledged, were sent again, to two servers at once, and answered as before.
    pub(crate) repeated: usize,
    /// Answers that should not have come.
    pub(crate) faults: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Client<'a> {
    number: usize,
    caller: Caller<'a>,
    accounts: &'a Accounts,
    known: &'a Mutex<Known>,
    dice: Dice,
    pub(crate) notes: Notes,
}

impl<'a> Client<'a> {
    pub(crate) fn new(
        number: usize,
        fleet: &'a Fleet,
        accounts: &'a Accounts,
        known: &'a Mutex<Known>,
        dice: Dice,
    ) -> Self {
        let caller = Caller::new(fleet, number);
        Self { number, caller, accounts, known, dice, notes: Notes::default() }
    }

    /// Asks for one thing after the other until the trial ends.
    pub(crate) async fn run(mut self) -> anyhow::Result<Notes> {
        while self.caller.fleet.goes_on() {
            match self.dice.roll(100) {
                0..31 => self.transfer().await?,
                31..34 => self.repeat().await?,
                34..42 => self.batch().await?,
                42..49 => self.reverse().await?,
                49..57 => self.hold().await?,
                57..67 => self.capture().await?,
                67..78 => {
                    let account = self.account();
                    self.read(Question::Account(account)).await?;
                }
                78..83 => {
                    let account = self.account();
                    self.read(Question::Balance(account)).await?;
                }
                83..88 => {
                    let limit = self.dice.roll(4).saturating_add(1);
                    let limit = usize::try_from(limit)?.min(ENTRIES_KEPT);
                    let account = self.account();
                    self.read(Question::Entries(account, limit)).await?;
                }
                88..94 => {
                    if let Some(id) = self.pick(|known| &known.asked) {
                        self.read(Question::Transaction(id)).await?;
                    }
                }
                94..96 => {
                    if let Some((id, _)) = self.pick(|known| &known.holds) {
                        self.read(Question::Hold(id)).await?;
                    }
                }
                _ => self.read(Question::Totals).await?,
            }
        }
        Ok(self.notes)
    }

    /// Gives every account something to begin with.
    pub(crate) async fn fund(&mut self, minor_units: i64) -> anyhow::Result<()> {
        for to in 1..self.accounts.0.len() {
            let movement = Movement { from: TREASURY, to, minor_units };
            let id = self.dice.id();
            self.write(Request::Transfers(vec![(id, movement)])).await?;
        }
        Ok(())
    }

    /// How everything stands.
    pub(crate) async fn look_at_everything(&mut self) -> anyhow::Result<()> {
        for account in 0..self.accounts.0.len() {
            self.read(Question::Account(account)).await?;
            self.read(Question::Balance(account)).await?;
            self.read(Question::Entries(account, ENTRIES_KEPT)).await?;
        }
        self.read(Question::Totals).await
    }

    async fn transfer(&mut self) -> anyhow::Result<()> {
        let (id, movement) = (self.dice.id(), self.movement());
        if let Some(Outcome::Recorded(_)) =
            self.write(Request::Transfers(vec![(id, movement)])).await?
        {
            self.learn(|known| remember(&mut known.transfers, (id, movement.minor_units)));
        }
        Ok(())
    }

    async fn batch(&mut self) -> anyhow::Result<()> {
        let size = self.dice.roll(4).saturating_add(2);
        let all: Vec<_> = (0..size).map(|_| (self.dice.id(), self.movement())).collect();
        self.write(Request::Transfers(all)).await?;
        Ok(())
    }

    async fn reverse(&mut self) -> anyhow::Result<()> {
        let Some((original, amount)) = self.pick(|known| &known.transfers) else { return Ok(()) };
        let (id, minor_units) = (self.dice.id(), self.part(amount));
        self.write(Request::Reversal { id, original, minor_units }).await?;
        Ok(())
    }

    async fn hold(&mut self) -> anyhow::Result<()> {
        let (id, movement) = (self.dice.id(), self.movement());
        if let Some(Outcome::Recorded(_)) = self.write(Request::Hold { id, movement }).await? {
            self.learn(|known| remember(&mut known.holds, (id, movement.minor_units)));
        }
        Ok(())
    }

    async fn capture(&mut self) -> anyhow::Result<()> {
        let Some((hold, amount)) = self.pick(|known| &known.holds) else { return Ok(()) };
        let (id, minor_units) = (self.dice.id(), self.part(amount));
        // Most are, or else ever more money would be held.
        let is_final = self.dice.roll(3) > 0;
        self.write(Request::Capture { id, hold, minor_units, is_final }).await?;
        Ok(())
    }

    /// Sends again what was acknowledged last, to whomever.
    pub(crate) async fn repeat_everything(&mut self) -> anyhow::Result<()> {
        let mut all = VecDeque::new();
        self.learn(|known| all.clone_from(&known.acknowledged));
        for (request, before) in all {
            self.ask_again(request, before).await?;
        }
        Ok(())
    }

    async fn repeat(&mut self) -> anyhow::Result<()> {
        match self.pick(|known| &known.acknowledged) {
            Some((request, before)) => self.ask_again(request, before).await,
            None => Ok(()),
        }
    }

    /// What was acknowledged must be answered as before by each of two servers at once, and marked as a replay.
    async fn ask_again(&mut self, request: Request, before: Vec<Line>) -> anyhow::Result<()> {
        let (path, body) = self.accounts.encode(&request);
        let mut other = self.caller.beside();
        let (one, two) =
            tokio::join!(self.caller.ask(&path, Some(&body)), other.ask(&path, Some(&body)));
        for asked in [one?, two?] {
            match self.accounts.outcome(&request, &asked.answer) {
                Ok(Told { outcome: Outcome::Recorded(lines), is_replay: true })
                    if lines == before => {}
                told => self.notes.faults.push(format!(
                    "not once: {request:?} was acknowledged as {before:?}, was sent again and is now {told:?}"
                )),
            }
        }
        self.notes.repeated = self.notes.repeated.saturating_add(1);
        Ok(())
    }

    /// The outcome, unless the answer was one that should not have come.
    async fn write(&mut self, request: Request) -> anyhow::Result<Option<Outcome>> {
        for id in request.ids() {
            self.learn(|known| remember(&mut known.asked, id));
        }
        let (path, body) = self.accounts.encode(&request);
        let told = if self.dice.roll(12) == 0 {
            let mut other = self.caller.beside();
            let (one, two) =
                tokio::join!(self.caller.ask(&path, Some(&body)), other.ask(&path, Some(&body)));
            let (one, two) = (self.heard(&request, one?), self.heard(&request, two?));
            one.zip(two).map(|(one, two)| self.both(&request, one, two))
        } else {
            let asked = self.caller.ask(&path, Some(&body)).await?;
            self.heard(&request, asked)
        };
        let Some((asked, told)) = told else { return Ok(None) };
        if let Outcome::Recorded(lines) = &told.outcome {
            self.learn(|known| {
                remember(&mut known.acknowledged, (request.clone(), lines.clone()));
            });
        }
        self.notes.operations.push(Operation {
            client: self.number,
            request,
            begun: asked.begun,
            last_begun: asked.last_begun,
            ended: asked.ended,
            outcome: told.outcome.clone(),
        });
        Ok(Some(told.outcome))
    }

    /// What the answer to a write says. An answer that should not have come is written down.
    fn heard(&mut self, request: &Request, asked: Asked) -> Option<(Asked, Told)> {
        let told = match self.accounts.outcome(request, &asked.answer) {
            Ok(told) => told,
            Err(fault) => {
                self.notes.faults.push(format!("{fault:#}"));
                return None;
            }
        };
        self.notes.unknown = self.notes.unknown.saturating_add(usize::from(asked.was_unknown));
        if let Outcome::Recorded(_) = told.outcome {
            if told.is_replay {
                let resumed = usize::from(asked.was_unknown);
                self.notes.resumed = self.notes.resumed.saturating_add(resumed);
            } else {
                self.caller.fleet.was_recorded(asked.server, asked.last_begun);
            }
        }
        Some((asked, told))
    }

    /// What came of a request that was sent twice at once: it can be recorded by one of the two at most, and the
    /// other one must then be told the same, unless it was refused before.
    fn both(&mut self, request: &Request, one: (Asked, Told), two: (Asked, Told)) -> (Asked, Told) {
        let begun = one.0.begun.min(two.0.begun);
        let is_recorded = |(_, told): &(Asked, Told)| matches!(told.outcome, Outcome::Recorded(_));
        let is_sound = match (is_recorded(&one), is_recorded(&two)) {
            (true, true) => {
                self.notes.doubled = self.notes.doubled.saturating_add(1);
                one.1.outcome == two.1.outcome && (one.1.is_replay || two.1.is_replay)
            }
            (true, false) => two.0.last_begun < one.0.ended,
            (false, true) => one.0.last_begun < two.0.ended,
            (false, false) => true,
        };
        if !is_sound {
            self.notes
                .faults
                .push(format!("not once: {request:?} got two answers: {one:?}, {two:?}"));
        }
        // It had happened when the first of those that say so was answered.
        let one_counts = match (is_recorded(&one), is_recorded(&two)) {
            (true, true) | (false, false) => one.0.ended <= two.0.ended,
            (one_is_recorded, _) => one_is_recorded,
        };
        let (asked, told) = if one_counts { one } else { two };
        (Asked { begun, ..asked }, told)
    }

    async fn read(&mut self, of: Question) -> anyhow::Result<()> {
        let asked = self.caller.ask(&self.accounts.question(of), None).await?;
        let seen = match self.accounts.seen(of, &asked.answer) {
            Ok(seen) => seen,
            Err(fault) => {
                self.notes.faults.push(format!("{fault:#}"));
                return Ok(());
            }
        };
        let (begun, ended) = (asked.last_begun, asked.ended);
        self.notes.reads.push(Read { client: self.number, begun, ended, seen });
        Ok(())
    }

    fn account(&mut self) -> Account {
        let accounts = u64::try_from(self.accounts.0.len()).unwrap_or(u64::MAX);
        usize::try_from(self.dice.roll(accounts)).unwrap_or(0)
    }

    /// Between any two accounts. What the treasury gives makes up for what stays on hold.
    fn movement(&mut self) -> Movement {
        let from = self.account();
        let others: Vec<_> = (0..self.accounts.0.len()).filter(|to| *to != from).collect();
        let to = self.dice.pick(&others).copied().unwrap_or(TREASURY);
        let minor_units = i64::try_from(self.dice.roll(AMOUNT_MAX)).unwrap_or(0).saturating_add(1);
        Movement { from, to, minor_units }
    }

    /// Some of an amount, now and then more than that, or what is left.
    fn part(&mut self, amount: i64) -> Option<i64> {
        if self.dice.roll(3) == 0 {
            return None;
        }
        let sides = u64::try_from(amount).unwrap_or(0).saturating_add(10);
        i64::try_from(self.dice.roll(sides)).ok().map(|part| part.saturating_add(1))
    }

    fn pick<T: Clone>(&mut self, among: impl Fn(&Known) -> &VecDeque<T>) -> Option<T> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<T> = among(&known).iter().cloned().collect();
        self.dice.pick(&all).cloned()
    }

    fn learn(&self, what: impl FnOnce(&mut Known)) {
        what(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
