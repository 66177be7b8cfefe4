//! A client as cheap as it gets: one thread, plain sockets, answers looked at no closer than needed to know their status and end.

use crate::WARM_UP;
use crate::requests::{Load, Posted, Requests};
use anyhow::Context;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The status of an answer of a server that takes no more now.
const NO_ROOM: u16 = 503;

/// What came of a load.
pub(crate) struct Outcome {
    /// What was done in the measured time: answers, or the transfers that they confirm.
    pub(crate) answers: u32,
    /// The same at any time.
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
    /// How long it took to be told that there is no room now, in microseconds, sorted; only where more is
    /// offered than can be taken.
    pub(crate) shed: Vec<u32>,
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
    /// How many requests a second all connections together send, whether or not they can be taken; each its
    /// next one as soon as there is an answer when not given.
    offered: Option<f64>,
}

/// Sends a load from `connections` connections, on a thread of its own; with `offered`, so many requests a
/// second, of which some may be answered 503.
pub(crate) async fn send(
    address: SocketAddr,
    connections: usize,
    load: Load,
    duration: Duration,
    offered: Option<f64>,
) -> anyhow::Result<Outcome> {
    let (answer, outcome) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("generator".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
            runtime.block_on(send_here(address, connections, load, duration, offered))
        });
        drop(answer.send(outcome));
    })?;
    outcome.await?
}

async fn send_here(
    address: SocketAddr,
    connections: usize,
    load: Load,
    duration: Duration,
    offered: Option<f64>,
) -> anyhow::Result<Outcome> {
    let from = Instant::now() + WARM_UP;
    let window = Window { from, to: from + duration, offered };
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
        shed: Vec::new(),
    };
    while let Some(one) = running.join_next().await {
        let one = one??;
        all.answers += one.answers;
        all.total += one.total;
        all.unexpected += one.unexpected;
        all.latencies.extend(one.latencies);
        all.posted.extend(one.posted);
        all.shed.extend(one.shed);
        all.example = one.example.or(all.example);
    }
    all.latencies.sort_unstable();
    all.shed.sort_unstable();
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
        // Where the answer ends, once its head is there.
        let mut ends = None;
        loop {
            let read = self.stream.read(&mut self.answer[self.filled..]).await?;
            anyhow::ensure!(read > 0, "the server closed the connection");
            self.filled += read;
            let answer = &self.answer[..self.filled];
            let (body, end) = match ends {
                Some(ends) => ends,
                None => {
                    let Some(head) = find(answer, b"\r\n\r\n") else { continue };
                    let body = head + 4;
                    let length = content_length(&answer[..body]).context("no content-length")?;
                    *ends.insert((body, body + length))
                }
            };
            if answer.len() >= end {
                let status = answer.get(9..12).context("an answer without a status")?;
                return Ok((std::str::from_utf8(status)?.parse()?, body));
            }
            if self.answer.len() < end {
                self.answer.resize(end, 0);
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
            shed: Vec::new(),
        };
        let mut begun = Instant::now();
        let every = window.offered.map(|rate| Duration::from_secs_f64(connections as f64 / rate));
        // Not all at once.
        let mut due = begun + every.unwrap_or_default().mul_f64(number as f64 / connections as f64);
        while begun < window.to {
            if let Some(every) = every {
                // Whoever is late sends at once, and is on time again as soon as that is possible.
                tokio::time::sleep_until(due.into()).await;
                due += every;
                begun = Instant::now();
            }
            let request = requests.prepare();
            let (status, _) = self.call(request.bytes).await?;
            let ended = Instant::now();
            let is_measured = ended >= window.from && ended < window.to;
            if window.offered.is_some() && status == NO_ROOM {
                outcome.shed.extend(is_measured.then(|| (ended - begun).as_micros() as u32));
                begun = ended;
                continue;
            }
            outcome.total += request.weight;
            if is_measured {
                outcome.answers += request.weight;
                outcome.latencies.push((ended - begun).as_micros() as u32);
            }
            if status == request.expected {
                outcome.posted.extend(request.posted);
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
