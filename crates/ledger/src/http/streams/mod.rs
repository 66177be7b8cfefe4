//! Posting without end: lines in, lines out.
//!
//! ```text
//! body -> Lines -> Gatherer -> engine's queue -> results, in the order of the lines -> body
//!                     a batch     up to 4 batches
//! ```
//!
//! Nothing on the way is without bound: while four batches are in flight no more is read, and while the
//! client reads no results none of these ends. Batches enter the engine's queue in order, so a line may
//! rely on those before it.

mod gather;
mod lines;
#[cfg(test)]
mod tests;

use super::postings::DryRunQuery;
use super::problems::code;
use super::trail::{Books, Deed, Lot, Writer};
use crate::Ledger;
use crate::engine::{Command, Outcome, Queued};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use gather::{Batch, Gatherer, Slot};
use http_body_util::channel::{Channel, Sender};
use ledger_api::{LedgerError, Recorded, Refusal, Transaction};
use lines::{Broken, Lines};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::Instrument;
use utoipa::ToSchema;
use uuid::Uuid;
use web::{OpenApiRouter, Problem, Query, require_media_type, routes};

pub(super) fn router() -> OpenApiRouter<Books> {
    OpenApiRouter::new().routes(routes!(stream_transactions))
}

const MEDIA_TYPE: &str = "application/x-ndjson";

/// So many batches are with the engine, or have results that the client has not read: those in the channel
/// and the one whose results are being written.
const BATCHES_WAITING: usize = 3;

/// How long a client may send nothing, and how long it may leave results unread.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What came of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ResultLine {
    /// Its place in the request, from 1. Blank lines count and have no result.
    line: u64,
    status: ResultStatus,
    /// The transaction's id, as far as the line could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<Uuid>,
    /// The transaction's place in the journal, unless it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<i64>,
    /// Why it was refused: the `code` of a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// Why it was refused, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Whether the transaction of a line was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ResultStatus {
    /// It was, now.
    Posted,
    /// It had been before.
    Replayed,
    /// It was not.
    Refused,
}

/// The last line of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LastLine {
    /// Whether every line has its result.
    done: bool,
    /// How many results there are.
    lines: u64,
    posted: u64,
    replayed: u64,
    refused: u64,
    /// Why the stream ended before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    /// The same, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The first line without a result: send this one and those after it again.
    #[serde(skip_serializing_if = "Option::is_none")]
    resume_from_line: Option<u64>,
}

/// One line of an answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is the documentation of the answer")]
enum StreamLine {
    Result(ResultLine),
    Last(LastLine),
}

/// Why a stream ends before its time.
#[derive(Clone, Debug)]
struct Fault {
    code: &'static str,
    detail: &'static str,
    resume_from_line: u64,
}

/// What the reading half tells the writing half, in order.
enum Event {
    Batch {
        slots: Vec<Slot>,
        outcomes: Option<Queued>,
    },
    /// There is nothing more to come.
    End(Option<Fault>),
}

/// Post transactions in a stream of any length
///
/// One transaction on each line of the request (newline-delimited JSON), with an `id` of its own, and one
/// result on each line of the answer, in the same order, as soon as it is there. Lines are posted each on
/// its own, in order; one that is `linked` shares the fate of the next, up to 1,000 lines and 4 MiB in a
/// chain. A line that is not valid is refused with `validation_failed` and the stream goes on. The last line
/// of the answer has `done`: true when each line has its result, otherwise `code` (`line_too_long`: more
/// than 1 MiB; `timed_out`: nothing came, or no result was read, for 30 seconds; `malformed_body`;
/// `service_unavailable`) and the line from which to go on; an answer without it was cut off. Lines that
/// are sent again are `replayed` and move nothing. **Read results while you send**: when they are not
/// read, no more is taken on.
///
/// With `dryRun`, what would come of each line; it may not see what earlier lines would have left.
#[utoipa::path(
    post, path = "/api/v1/ledger/transactions/stream", tag = "Ledger",
    operation_id = "streamLedgerTransactions",
    security(("bearer" = ["ledger:write"])),
    params(DryRunQuery),
    request_body(
        content = String, content_type = "application/x-ndjson",
        description = "On each line a transaction as in `POST /api/v1/ledger/transactions`, with an `id`.",
    ),
    responses((
        status = 200, description = "On each line a result; the last line has `done`.",
        body = StreamLine, content_type = "application/x-ndjson",
    )),
)]
async fn stream_transactions(
    State(ledger): State<Ledger>,
    writer: Writer,
    Query(query): Query<DryRunQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    require_media_type(&headers, MEDIA_TYPE, "newline-delimited JSON")?;
    let gatherer = Gatherer::new(writer.actor.user_id);
    let noted = match writer.is_person() && !query.dry_run {
        true => Some(Noted::begin(writer, ledger.0.ids.next()).await?),
        false => None,
    };
    let (sender, answer) = Channel::<Bytes>::new(1);
    let lines = (Lines::new(body, SILENCE_MAX), gatherer);
    let stream = stream(ledger, query, lines, sender, noted);
    // The layers around the routes see an answer that is there at once; it ends when the stream does.
    tokio::spawn(stream.in_current_span());
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))];
    Ok((content_type, Body::new(answer)).into_response())
}

/// A stream in the audit trail: that it begins is written down before anything is read, and in the end what
/// was asked for in it. One that was cut off by the end of the program has a beginning alone.
struct Noted {
    writer: Writer,
    id: Uuid,
    lot: Lot,
    is_ended: bool,
}

impl Noted {
    async fn begin(writer: Writer, id: Uuid) -> Result<Self, Problem> {
        let (action, details) = ("ledger_stream_requested", json!({}));
        writer.note(Deed { action, object: Some(id), details }).await?;
        Ok(Self { writer, id, lot: Lot::default(), is_ended: false })
    }

    /// Once; or twice with the same content, if the client goes away while it is written. Tells whether it is
    /// written.
    async fn end(&mut self) -> bool {
        if self.is_ended {
            return true;
        }
        let (action, details) = ("ledger_stream_ended", self.lot.to_json());
        match self.writer.record(Deed { action, object: Some(self.id), details }).await {
            Ok(()) => self.is_ended = true,
            Err(error) => {
                tracing::error!(%error, stream_id = %self.id, "a stream's end is not in the trail");
            }
        }
        self.is_ended
    }
}

/// Both halves, until there is nothing more to write or nobody to write to.
async fn stream(
    ledger: Ledger,
    query: DryRunQuery,
    lines: (Lines, Gatherer),
    sender: Sender<Bytes>,
    mut noted: Option<Noted>,
) {
    let (events, received) = mpsc::channel(BATCHES_WAITING);
    let unanswered = AtomicUsize::new(0);
    {
        let read = read(&ledger, query, lines, events, &unanswered, &mut noted);
        let mut reading = std::pin::pin!(read);
        let mut writing = std::pin::pin!(write(received, sender, &unanswered));
        tokio::select! {
            // Whoever does not listen any more is not listened to either.
            () = &mut writing => {}
            () = &mut reading => writing.await,
        }
    }
    // It may not have been read to its end.
    if let Some(noted) = &mut noted {
        noted.end().await;
    }
}

/// Turns lines into batches and queues these.
async fn read(
    ledger: &Ledger,
    query: DryRunQuery,
    (mut lines, mut gatherer): (Lines, Gatherer),
    events: mpsc::Sender<Event>,
    unanswered: &AtomicUsize,
    noted: &mut Option<Noted>,
) {
    let mut line: u64 = 0;
    let ended = loop {
        let next = tokio::select! {
            biased;
            next = lines.next(), if !gatherer.is_full() => next,
            // What is gathered goes as soon as it can, and grows until then.
            room = events.reserve(), if gatherer.has_batch() => {
                let Ok(room) = room else { return };
                unanswered.fetch_add(1, Ordering::Relaxed);
                if !queue(ledger, query, gatherer.take(), room, noted).await {
                    return;
                }
                continue;
            }
        };
        match next {
            Ok(Some(text)) => {
                line = line.saturating_add(1);
                if !text.trim_ascii().is_empty() {
                    gatherer.add(line, &text);
                }
            }
            Ok(None) => {
                gatherer.end();
                break None;
            }
            // Who waits for results need not send anything.
            Err(Broken::Silent) if unanswered.load(Ordering::Relaxed) > 0 => {}
            Err(broken) => {
                let next = line.saturating_add(1);
                break Some(Fault::of(broken, gatherer.first_of_chain().unwrap_or(next)));
            }
        }
    };
    while gatherer.has_batch() {
        let Ok(room) = events.reserve().await else { return };
        unanswered.fetch_add(1, Ordering::Relaxed);
        if !queue(ledger, query, gatherer.take(), room, noted).await {
            return;
        }
    }
    // Whoever is told that all is done finds it in the trail.
    let is_noted = match noted {
        Some(noted) => noted.end().await,
        None => true,
    };
    let ended = match is_noted {
        true => ended,
        false => Some(Fault {
            code: "service_unavailable",
            detail: "what was posted is not in the audit trail yet: send all lines again",
            resume_from_line: 1,
        }),
    };
    // Nobody listens any more: then nobody needs to know.
    drop(events.send(Event::End(ended)).await);
}

/// Queues a batch as soon as the engine has room, and whether it took it.
async fn queue(
    ledger: &Ledger,
    query: DryRunQuery,
    batch: Batch,
    room: mpsc::Permit<'_, Event>,
    noted: &mut Option<Noted>,
) -> bool {
    let Batch { slots, chains, .. } = batch;
    if let Some(noted) = noted {
        chains.iter().flatten().for_each(|one| noted.lot.add(one));
    }
    if chains.is_empty() {
        room.send(Event::Batch { slots, outcomes: None });
        return true;
    }
    match ledger.0.engine.queue(query.wrap(Command::PostEach(chains))).await {
        Ok(outcomes) => {
            room.send(Event::Batch { slots, outcomes: Some(outcomes) });
            true
        }
        Err(_) => {
            room.send(Event::End(Some(Fault::unavailable(first_line(&slots)))));
            false
        }
    }
}

/// Writes the results of each batch when they are there.
async fn write(
    mut events: mpsc::Receiver<Event>,
    mut sender: Sender<Bytes>,
    unanswered: &AtomicUsize,
) {
    let mut last = LastLine { done: true, ..LastLine::default() };
    let mut fault = None;
    while let Some(event) = events.recv().await {
        match event {
            Event::Batch { slots, outcomes } => {
                let first = first_line(&slots);
                let outcomes = match outcomes {
                    Some(queued) => posted_each(queued.outcome().await),
                    None => Some(Vec::new()),
                };
                let results = outcomes.and_then(|outcomes| results(slots, outcomes));
                let Some(results) = results else {
                    fault = Some(Fault::unavailable(first));
                    break;
                };
                let mut text = Vec::new();
                for result in &results {
                    last.count(result.status);
                    add_line(&mut text, result);
                }
                if !send(&mut sender, text).await {
                    return;
                }
                unanswered.fetch_sub(1, Ordering::Relaxed);
            }
            Event::End(ended) => {
                fault = ended;
                break;
            }
        }
    }
    if let Some(fault) = fault {
        last.done = false;
        last.code = Some(fault.code);
        last.detail = Some(fault.detail.to_owned());
        last.resume_from_line = Some(fault.resume_from_line);
    }
    let mut text = Vec::new();
    add_line(&mut text, &last);
    send(&mut sender, text).await;
}

/// Whether somebody took it.
async fn send(sender: &mut Sender<Bytes>, text: Vec<u8>) -> bool {
    let sent = tokio::time::timeout(SILENCE_MAX, sender.send_data(text.into())).await;
    matches!(sent, Ok(Ok(())))
}

fn add_line(text: &mut Vec<u8>, line: &impl Serialize) {
    // Numbers and texts always serialise.
    text.extend(serde_json::to_vec(line).unwrap_or_default());
    text.push(b'\n');
}

fn first_line(slots: &[Slot]) -> u64 {
    slots.first().map_or(1, Slot::line)
}

type PostedEach = Vec<Result<Recorded<Arc<Transaction>>, Refusal>>;

/// `None` when the store does not answer: what came of the batch is unknown.
fn posted_each(outcome: Result<Outcome, LedgerError>) -> Option<PostedEach> {
    match outcome {
        Ok(Outcome::PostedEach(outcomes)) => Some(outcomes),
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, "a stream ends");
            None
        }
    }
}

/// Each line's result, in order. `None` when the engine answered for another batch, which is a defect.
fn results(slots: Vec<Slot>, outcomes: PostedEach) -> Option<Vec<ResultLine>> {
    let waiting = |slot: &Slot| match slot {
        Slot::Waiting { line, .. } => Some(*line),
        Slot::Refused(_) => None,
    };
    let lines: Vec<u64> = slots.iter().filter_map(waiting).collect();
    let mut outcomes = outcomes.into_iter();
    let results = slots.into_iter().map(|slot| match slot {
        Slot::Refused(result) => Some(result),
        Slot::Waiting { line, id } => Some(match outcomes.next()? {
            Ok(recorded) => ResultLine::recorded(line, &recorded),
            Err(Refusal::LinkedRefused { index }) => {
                ResultLine::linked(line, Some(id), lines.get(index).copied().unwrap_or(line))
            }
            Err(refusal) => {
                ResultLine::refused(line, Some(id), code(&refusal), refusal.to_string())
            }
        }),
    });
    results.collect()
}

impl ResultLine {
    fn recorded(line: u64, recorded: &Recorded<Arc<Transaction>>) -> Self {
        Self {
            line,
            status: match recorded.replayed {
                true => ResultStatus::Replayed,
                false => ResultStatus::Posted,
            },
            transaction_id: Some(recorded.record.id.0),
            sequence: Some(recorded.record.sequence),
            code: None,
            detail: None,
        }
    }

    fn refused(line: u64, id: Option<Uuid>, code: &'static str, detail: String) -> Self {
        Self {
            line,
            status: ResultStatus::Refused,
            transaction_id: id,
            sequence: None,
            code: Some(code),
            detail: Some(detail),
        }
    }

    /// A line that is not a transaction.
    fn invalid(line: u64, id: Option<Uuid>, detail: String) -> Self {
        Self::refused(line, id, "validation_failed", detail)
    }

    /// A line of a chain of which another was refused.
    fn linked(line: u64, id: Option<Uuid>, other: u64) -> Self {
        let detail = format!("line {other}, which this one is linked to, was refused");
        Self::refused(line, id, "linked_refused", detail)
    }
}

impl LastLine {
    fn count(&mut self, status: ResultStatus) {
        self.lines = self.lines.saturating_add(1);
        let counter = match status {
            ResultStatus::Posted => &mut self.posted,
            ResultStatus::Replayed => &mut self.replayed,
            ResultStatus::Refused => &mut self.refused,
        };
        *counter = counter.saturating_add(1);
    }
}

impl Fault {
    fn of(broken: Broken, resume_from_line: u64) -> Self {
        let (code, detail) = match broken {
            Broken::TooLong => ("line_too_long", "a line has at most 1 MiB"),
            Broken::Silent => ("timed_out", "nothing came for 30 seconds"),
            Broken::Lost => ("malformed_body", "the body could not be read whole"),
        };
        Self { code, detail, resume_from_line }
    }

    fn unavailable(resume_from_line: u64) -> Self {
        Self {
            code: "service_unavailable",
            detail: "the ledger cannot answer now; send the line to resume from and those after it \
                     again, with the same ids",
            resume_from_line,
        }
    }
}
