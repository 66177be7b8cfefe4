//! A client as cheap as it gets: one thread, plain sockets, requests patched into a template, answers
//! looked at no closer than needed to know their status and end.

use crate::WARM_UP;
use crate::world::{Dice, KIND};
use anyhow::Context;
use kernel::IdSource as _;
use ports::SystemIds;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

/// What every connection sends, again and again.
#[derive(Clone)]
pub(crate) enum Load {
    Get { path: &'static str },
    Transfers { token: Arc<str>, accounts: Arc<[Uuid]>, between: Between },
    Replays { token: Arc<str>, accounts: Arc<[Uuid]>, posted: Arc<[Posted]> },
}

/// Which accounts transfers go between, by place.
#[derive(Clone, Copy)]
pub(crate) enum Between {
    Any,
    From(usize),
    To(usize),
}

/// A transfer as it was sent, by the accounts' places.
#[derive(Clone, Copy)]
pub(crate) struct Posted {
    id: Uuid,
    from: u32,
    to: u32,
    amount: u32,
}

/// What came of a load.
pub(crate) struct Outcome {
    /// Answers in the measured time.
    pub(crate) answers: u32,
    /// Answers at any time.
    pub(crate) total: u32,
    /// How long that was.
    pub(crate) seconds: f64,
    /// In microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// Everything that was posted, whether in the measured time or not.
    pub(crate) posted: Vec<Posted>,
    /// Answers with another status than expected, of any time.
    pub(crate) unexpected: u32,
    /// One of them.
    pub(crate) example: Option<String>,
}

impl Outcome {
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.answers) / self.seconds
    }
}

#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

/// Sends a load from `connections` connections, on a thread of its own.
pub(crate) async fn send(
    address: SocketAddr,
    connections: usize,
    load: Load,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let (answer, outcome) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("generator".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(send_here(address, connections, load, duration)));
        drop(answer.send(outcome));
    })?;
    outcome.await?
}

async fn send_here(
    address: SocketAddr,
    connections: usize,
    load: Load,
    duration: Duration,
) -> anyhow::Result<Outcome> {
    let from = Instant::now() + WARM_UP;
    let window = Window { from, to: from + duration };
    let mut running = JoinSet::new();
    for connection in 0..connections {
        let connected = Connection::open(address).await?;
        running.spawn(connected.repeat(load.clone(), (connection, connections), window));
    }
    let mut all = Outcome {
        answers: 0,
        total: 0,
        seconds: duration.as_secs_f64(),
        latencies: Vec::new(),
        posted: Vec::new(),
        unexpected: 0,
        example: None,
    };
    while let Some(one) = running.join_next().await {
        let one = one??;
        all.answers += one.answers;
        all.total += one.total;
        all.unexpected += one.unexpected;
        all.latencies.extend(one.latencies);
        all.posted.extend(one.posted);
        all.example = one.example.or(all.example);
    }
    all.latencies.sort_unstable();
    Ok(all)
}

/// One request and its whole answer.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    let (status, body) = connection.call(request.as_bytes()).await?;
    Ok((status, connection.answer[body..connection.filled].to_vec()))
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    filled: usize,
}

impl Connection {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; 16 * 1_024], filled: 0 })
    }

    /// The status, and where the body begins.
    async fn call(&mut self, request: &[u8]) -> anyhow::Result<(u16, usize)> {
        self.stream.write_all(request).await?;
        self.filled = 0;
        loop {
            let room = self.answer.get_mut(self.filled..).unwrap_or_default();
            let read = self.stream.read(room).await?;
            anyhow::ensure!(read > 0, "the server closed the connection or answered too much");
            self.filled += read;
            let answer = &self.answer[..self.filled];
            let Some(head) = find(answer, b"\r\n\r\n") else { continue };
            let body = head + 4;
            let length = content_length(&answer[..body]).context("an answer without a length")?;
            if answer.len() >= body + length {
                let status = answer.get(9..12).context("an answer without a status")?;
                return Ok((std::str::from_utf8(status)?.parse()?, body));
            }
        }
    }

    async fn repeat(
        mut self,
        load: Load,
        (number, connections): (usize, usize),
        window: Window,
    ) -> anyhow::Result<Outcome> {
        let mut requests = Requests::new(load, number, connections);
        let mut outcome = Outcome {
            answers: 0,
            total: 0,
            seconds: 0.0,
            latencies: Vec::new(),
            posted: Vec::new(),
            unexpected: 0,
            example: None,
        };
        let mut begun = Instant::now();
        while begun < window.to {
            let posted = requests.prepare();
            let (status, _) = self.call(&requests.bytes).await?;
            let ended = Instant::now();
            outcome.total += 1;
            if ended >= window.from && ended < window.to {
                outcome.answers += 1;
                outcome.latencies.push((ended - begun).as_micros() as u32);
            }
            if status == requests.expected {
                outcome.posted.extend(posted);
            } else {
                outcome.unexpected += 1;
                let answer = &self.answer[..self.filled];
                outcome.example = Some(String::from_utf8_lossy(answer).into_owned());
            }
            begun = ended;
        }
        Ok(outcome)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// hyper writes header names in lower case.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let digits = &head[find(head, NAME)? + NAME.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Makes one request after the other in the same bytes.
struct Requests {
    load: Load,
    bytes: Vec<u8>,
    /// Where the id, the two accounts and the two amounts stand.
    places: [usize; 5],
    expected: u16,
    dice: Dice,
    /// Which posted transfer comes next, and how far it is to the one after.
    next: usize,
    step: usize,
}

const NO_ID: Uuid = Uuid::nil();
const NO_AMOUNT: &str = "__n";

impl Requests {
    fn new(load: Load, number: usize, connections: usize) -> Self {
        let (bytes, places, expected) = match &load {
            Load::Get { path } => {
                (format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n"), [0; 5], 200)
            }
            Load::Transfers { token, .. } | Load::Replays { token, .. } => {
                let (text, places) = template(token);
                (text, places, 201)
            }
        };
        let dice = Dice::new(number);
        let (next, step) = (number, connections);
        Self { load, bytes: bytes.into_bytes(), places, expected, dice, next, step }
    }

    /// The next request; says which transfer it posts, if it does for the first time.
    fn prepare(&mut self) -> Option<Posted> {
        match &self.load {
            Load::Get { .. } => None,
            Load::Transfers { accounts, between, .. } => {
                let (one, other) = self.dice.pair(accounts.len());
                let (from, to) = match *between {
                    Between::Any => (one, other),
                    // The one that is hot, and any that is not it.
                    Between::From(hot) => (hot, if one == hot { other } else { one }),
                    Between::To(hot) => (if one == hot { other } else { one }, hot),
                };
                let amount = self.dice.roll(900) as u32 + 100;
                let id = SystemIds.next();
                let posted = Posted { id, from: from as u32, to: to as u32, amount };
                let accounts = accounts.clone();
                self.write(&posted, &accounts);
                Some(posted)
            }
            Load::Replays { accounts, posted, .. } => {
                let one = posted[self.next % posted.len()];
                self.next += self.step;
                let accounts = accounts.clone();
                self.write(&one, &accounts);
                None
            }
        }
    }

    fn write(&mut self, one: &Posted, accounts: &[Uuid]) {
        let [id, from, to, ..] = self.places;
        let ids =
            [(id, one.id), (from, accounts[one.from as usize]), (to, accounts[one.to as usize])];
        for (place, id) in ids {
            id.hyphenated().encode_lower(&mut self.bytes[place..]);
        }
        let amount = one.amount.to_string();
        for &place in &self.places[3..] {
            self.bytes[place..place + amount.len()].copy_from_slice(amount.as_bytes());
        }
    }
}

/// A request with three-digit amounts, and the places to fill in.
fn template(token: &str) -> (String, [usize; 5]) {
    let body = format!(
        "{{\"id\":\"{NO_ID}\",\"kind\":\"{KIND}\",\"legs\":[\
         {{\"accountId\":\"{NO_ID}\",\"direction\":\"debit\",\
         \"amountMinorUnits\":{NO_AMOUNT},\"currencyCode\":\"MAD\"}},\
         {{\"accountId\":\"{NO_ID}\",\"direction\":\"credit\",\
         \"amountMinorUnits\":{NO_AMOUNT},\"currencyCode\":\"MAD\"}}]}}"
    );
    let head = format!(
        "POST /api/v1/ledger/transactions HTTP/1.1\r\nhost: bench\r\n\
         authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let find_all =
        |what: &str| body.match_indices(what).map(|(at, _)| head.len() + at).collect::<Vec<_>>();
    let (ids, amounts) = (find_all(&NO_ID.to_string()), find_all(NO_AMOUNT));
    let places = [ids[0], ids[1], ids[2], amounts[0], amounts[1]];
    (format!("{head}{body}"), places)
}
