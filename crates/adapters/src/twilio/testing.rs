//! A server on this machine that takes text messages as Twilio does, and is as strict. Twilio's own client
//! for Python talks to it in the tests, so that it is no invention of ours.

use crate::testing::http::{Request, lock, read};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The account of the stand-in.
pub const ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
/// Its auth token.
pub const AUTH_TOKEN: &str = "auth-token-of-the-stand-in";
/// An API key of the account.
pub const API_KEY_SID: &str = "SK0123456789abcdef0123456789abcdef";
/// The key's secret.
pub const API_KEY_SECRET: &str = "secret-of-the-api-key";
/// A number of the account.
pub const SENDER: &str = "+15005550006";
/// A Messaging Service of the account.
pub const MESSAGING_SERVICE_SID: &str = "MG0123456789abcdef0123456789abcdef";

/// Takes messages until it is dropped.
#[derive(Debug)]
pub struct TwilioStandIn {
    base_url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// What the next request comes to instead of being taken.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// An answer with this status, Twilio's number of the error if it has one, and `Retry-After`.
    Answer(u16, Option<u32>, Option<u32>),
    /// The message is taken, but no answer ever comes.
    Silence,
    /// The message is taken, but the connection is cut before the answer.
    Cut,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct TakenMessage {
    /// Twilio's name of it.
    pub sid: String,
    /// The form as it came.
    pub form: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Shared {
    fates: Mutex<VecDeque<Fate>>,
    taken: Mutex<Vec<TakenMessage>>,
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// What a request may have; the parameters of the Messages resource that Twilio's clients know.
const PARAMETERS: [&str; 5] = ["To", "Body", "From", "MessagingServiceSid", "StatusCallback"];

impl TwilioStandIn {
    /// Listens on a free port of this machine.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        let of_server = shared.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                of_server.connections.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream, of_server.clone()));
            }
        });
        Self { base_url: format!("http://{address}"), shared, serving }
    }

    /// Where it listens, instead of <https://api.twilio.com>.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What the next requests come to, one after the other; later ones are taken.
    pub fn destine(&self, fates: impl IntoIterator<Item = Fate>) {
        lock(&self.shared.fates).extend(fates);
    }

    /// The messages that were taken so far.
    pub fn taken(&self) -> Vec<TakenMessage> {
        lock(&self.shared.taken).clone()
    }

    /// How many requests came so far, whatever became of them.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many connections were opened for them.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for TwilioStandIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut stream).await {
        shared.requests.fetch_add(1, Ordering::Relaxed);
        let fate = lock(&shared.fates).pop_front();
        let (status, body, retry_after) = match fate {
            Some(Fate::Answer(status, code, after)) => (status, error(status, code), after),
            _ => {
                let (status, body) = answer(&request, &shared);
                (status, body, None)
            }
        };
        match fate {
            Some(Fate::Silence) => std::future::pending().await,
            Some(Fate::Cut) => return,
            _ => {}
        }
        let body = body.to_string();
        let retry_after = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n"));
        let head = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
            retry_after.unwrap_or_default(),
            body.len()
        );
        let written = stream.write_all((head + &body).as_bytes()).await;
        if written.is_err() {
            return;
        }
    }
}

fn answer(request: &Request, shared: &Shared) -> (u16, Value) {
    let refuse = |status, code| (status, error(status, Some(code)));
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let is_authentic = [(ACCOUNT_SID, AUTH_TOKEN), (API_KEY_SID, API_KEY_SECRET)]
        .map(|(name, secret)| format!("Basic {}", STANDARD.encode(format!("{name}:{secret}"))))
        .contains(&header("authorization").to_owned());
    if !is_authentic {
        return refuse(401, 20003);
    }
    let path = format!("POST /2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json HTTP/1.1");
    if request.line != path {
        return refuse(404, 20404);
    }
    if header("content-type") != "application/x-www-form-urlencoded" {
        return refuse(400, 20001);
    }
    let form: BTreeMap<String, String> =
        form_urlencoded::parse(&request.body).into_owned().collect();
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if form.keys().any(|name| !PARAMETERS.contains(&name.as_str())) {
        return refuse(400, 20001);
    }
    let to = field("To");
    let from = (field("From"), field("MessagingServiceSid"));
    match () {
        () if to.is_empty() => return refuse(400, 21604),
        () if !is_number(to) => return refuse(400, 21211),
        () if field("Body").is_empty() => return refuse(400, 21602),
        () if field("Body").chars().count() > 1600 => return refuse(400, 21617),
        () if from == ("", "") => return refuse(400, 21603),
        () if from != (SENDER, "") && from != ("", MESSAGING_SERVICE_SID) => {
            return refuse(400, 21606);
        }
        () => {}
    }
    let mut taken = lock(&shared.taken);
    let sid = format!("SM{:032x}", taken.len());
    let status = if from.0.is_empty() { "accepted" } else { "queued" };
    let none = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let body = json!({
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": field("Body"),
        "date_created": "Mon, 23 Nov 2026 09:30:00 +0000",
        "date_sent": null,
        "date_updated": "Mon, 23 Nov 2026 09:30:00 +0000",
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "from": none(from.0),
        "messaging_service_sid": none(from.1),
        "num_media": "0",
        "num_segments": "1",
        "price": null,
        "price_unit": "USD",
        "sid": sid,
        "status": status,
        "subresource_uris": {
            "media": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}/Media.json"),
        },
        "to": to,
        "uri": format!("/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{sid}.json"),
    });
    taken.push(TakenMessage { sid, form });
    (201, body)
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// An error as Twilio writes it, or something of a machine in between.
fn error(status: u16, code: Option<u32>) -> Value {
    let Some(code) = code else { return json!("upstream connect error") };
    json!({
        "code": code,
        // Like some of Twilio's, it repeats what is nobody else's business.
        "message": "The number +212612345678 cannot be used.",
        "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
        "status": status,
    })
}
