//! A server on this machine that speaks the range protocol of Pwned Passwords.

use crate::testing::http::{Request, lock, read};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Knows some passwords, until it is dropped.
#[derive(Debug)]
pub struct RangeStandIn {
    base_url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What the next request comes to instead of being answered.
#[derive(Clone, Debug)]
pub enum RangeFate {
    /// An answer with this status, and `Retry-After`.
    Status(u16, Option<u32>),
    /// An answer of 200 with this body.
    Body(Vec<u8>),
    /// The right answer after a while.
    Slow(Duration),
    /// No answer ever.
    Silence,
    /// The connection is cut in the middle of the answer.
    Cut,
}

#[derive(Debug)]
struct Shared {
    /// Digests in hexadecimal digits, with how often each was seen.
    known: Vec<(String, u32)>,
    fates: Mutex<VecDeque<RangeFate>>,
    requests: Mutex<Vec<Request>>,
}

impl RangeStandIn {
    /// Listens on a free port of this machine. These passwords were seen so often.
    pub async fn start(known: &[(&str, u32)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let known = known.iter().map(|(password, count)| (sha1(password), *count)).collect();
        let shared =
            Arc::new(Shared { known, fates: Mutex::default(), requests: Mutex::default() });
        let of_server = shared.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, of_server.clone()));
            }
        });
        Self { base_url: format!("http://{address}/mirror"), shared, serving }
    }

    /// Where it listens, instead of <https://api.pwnedpasswords.com>.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What the next requests come to, one after the other; later ones are answered.
    pub fn destine(&self, fates: impl IntoIterator<Item = RangeFate>) {
        lock(&self.shared.fates).extend(fates);
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for RangeStandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn sha1(password: &str) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect()
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut stream).await {
        let (status, mut body) = answer(&request, &shared);
        lock(&shared.requests).push(request);
        let fate = lock(&shared.fates).pop_front();
        let (mut status, mut retry_after, mut is_cut) = (status, None, false);
        match fate {
            None => {}
            Some(RangeFate::Status(other, after)) => {
                (status, retry_after, body) = (other, after, b"try later".to_vec());
            }
            Some(RangeFate::Body(other)) => body = other,
            Some(RangeFate::Slow(while_)) => tokio::time::sleep(while_).await,
            Some(RangeFate::Silence) => std::future::pending().await,
            Some(RangeFate::Cut) => is_cut = true,
        }
        let retry_after = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n"));
        let head = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: text/plain\r\n{}Content-Length: {}\r\n\r\n",
            retry_after.unwrap_or_default(),
            body.len()
        );
        if is_cut {
            body.truncate(body.len() / 2);
        }
        let written = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        if written.is_err() || is_cut {
            return;
        }
    }
}

fn answer(request: &Request, shared: &Shared) -> (u16, Vec<u8>) {
    let path = request.line.strip_prefix("GET /mirror/range/");
    let prefix = path.and_then(|path| path.strip_suffix(" HTTP/1.1")).unwrap_or_default();
    if prefix.len() != 5 || !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return (400, b"The hash prefix was not in a valid format".to_vec());
    }
    // The service refuses who does not say what they are.
    if !request.headers.contains_key("user-agent") {
        return (403, Vec::new());
    }
    let is_padded = request.headers.get("add-padding").is_some_and(|value| value == "true");
    // Others with the same beginning, and with padding those that stand for nothing.
    let mut lines: Vec<String> = (1..=20)
        .map(|number| (number, u32::from(number % 2 == 0 || !is_padded)))
        .map(|(number, count)| format!("{}:{count}", &sha1(&format!("{prefix} {number}"))[5..]))
        .collect();
    let known = shared.known.iter().filter(|(digest, _)| digest[..5].eq_ignore_ascii_case(prefix));
    lines.extend(known.map(|(digest, count)| format!("{}:{count}", &digest[5..])));
    lines.sort();
    (200, lines.join("\r\n").into_bytes())
}
