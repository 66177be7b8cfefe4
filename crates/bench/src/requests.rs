//! Requests made one after the other in the same bytes: ids and amounts are written over placeholders.

use crate::world::{Dice, KIND};
use data_encoding::BASE64;
use kernel::IdSource as _;
use ports::SystemIds;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// What every connection sends, again and again.
#[derive(Clone)]
pub(crate) enum Load {
    Get {
        path: &'static str,
        token: Option<Arc<str>>,
    },
    /// Of the person with the connection's number, who was registered before.
    LogIns,
    /// Any of these paths.
    Reads {
        token: Arc<str>,
        paths: Arc<[String]>,
    },
    Transfers {
        token: Arc<str>,
        accounts: Arc<[Uuid]>,
        between: Between,
    },
    /// So many transfers in each request, and whether they need not be sent back.
    Bulk {
        token: Arc<str>,
        accounts: Arc<[Uuid]>,
        size: usize,
        is_minimal: bool,
    },
    /// A hold, and then its capture.
    Captures {
        token: Arc<str>,
        accounts: Arc<[Uuid]>,
    },
    Replays {
        token: Arc<str>,
        accounts: Arc<[Uuid]>,
        posted: Arc<[Posted]>,
    },
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

pub(crate) struct Requests {
    load: Load,
    template: Template,
    /// The capture that follows a hold.
    second: Template,
    /// The hold that waits for its capture.
    held: Option<Uuid>,
    dice: Dice,
    /// Which posted transfer comes next, and how far it is to the one after.
    next: usize,
    step: usize,
}

/// A request that is ready to be sent.
pub(crate) struct Prepared<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) expected: u16,
    /// How much of the work that is measured its answer ends.
    pub(crate) weight: u32,
    /// What it posts, if it is one transfer and for the first time.
    pub(crate) posted: Option<Posted>,
}

/// A request with ids and three-digit amounts to fill in.
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
    amounts: Vec<usize>,
}

/// The demo world's administrator.
pub(crate) const ADMIN: &str = "admin@example.com";

/// Of everybody in the demo world.
const PASSWORD: &str = "demo-Finitech-1";

const NO_ID: Uuid = Uuid::nil();
const NO_AMOUNT: &str = "__n";

impl Requests {
    /// For one of `connections`, which has this number.
    pub(crate) fn new(load: Load, number: usize, connections: usize) -> Self {
        let mut second = Template::new(String::new());
        let template = match &load {
            Load::Get { path, token } => {
                let token = token.as_ref().map(|one| format!("authorization: Bearer {one}\r\n"));
                let token = token.unwrap_or_default();
                Template::new(format!("GET {path} HTTP/1.1\r\nhost: bench\r\n{token}\r\n"))
            }
            Load::LogIns => Template::new(log_in(&email(number))),
            Load::Reads { .. } => Template::new(String::new()),
            Load::Transfers { token, .. } | Load::Replays { token, .. } => {
                Template::post("transactions", token, &transfer())
            }
            Load::Bulk { token, size, is_minimal, .. } => {
                let all = vec![transfer(); *size].join(",");
                let prefer = if *is_minimal { "prefer: return=minimal\r\n" } else { "" };
                let body = format!("{{\"transactions\":[{all}]}}");
                Template::post_with(prefer, "transactions/bulk", token, &body)
            }
            Load::Captures { token, .. } => {
                let capture = format!("{{\"id\":\"{NO_ID}\"}}");
                let path = format!("holds/{NO_ID}/capture");
                second = Template::post(&path, token, &capture);
                Template::post("holds", token, &transfer())
            }
        };
        let dice = Dice::new(number);
        Self { load, template, second, held: None, dice, next: number, step: connections }
    }

    pub(crate) fn prepare(&mut self) -> Prepared<'_> {
        let mut is_second = false;
        let (expected, weight, posted) = match self.load.clone() {
            Load::Get { .. } | Load::LogIns => (200, 1, None),
            Load::Reads { token, paths } => {
                let path = &paths[self.dice.roll(paths.len())];
                let text = format!(
                    "GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n"
                );
                self.template.bytes = text.into_bytes();
                (200, 1, None)
            }
            Load::Transfers { accounts, between, .. } => {
                let one = self.roll(&accounts, between);
                self.template.write(&[one], &accounts);
                (201, 1, Some(one))
            }
            Load::Bulk { accounts, size, .. } => {
                let all: Vec<Posted> =
                    (0..size).map(|_| self.roll(&accounts, Between::Any)).collect();
                self.template.write(&all, &accounts);
                (200, size as u32, None)
            }
            Load::Captures { accounts, .. } => match self.held.take() {
                Some(hold) => {
                    self.second.write_ids(&[hold, SystemIds.next()]);
                    is_second = true;
                    (201, 1, None)
                }
                None => {
                    let one = self.roll(&accounts, Between::Any);
                    self.held = Some(one.id);
                    self.template.write(&[one], &accounts);
                    (201, 0, None)
                }
            },
            Load::Replays { accounts, posted, .. } => {
                let one = posted[self.next % posted.len()];
                self.next += self.step;
                self.template.write(&[one], &accounts);
                (201, 1, None)
            }
        };
        let template = if is_second { &self.second } else { &self.template };
        Prepared { bytes: &template.bytes, expected, weight, posted }
    }

    fn roll(&mut self, accounts: &[Uuid], between: Between) -> Posted {
        let (one, other) = self.dice.pair(accounts.len());
        let (from, to) = match between {
            Between::Any => (one, other),
            // The one that is hot, and any that is not it.
            Between::From(hot) => (hot, if one == hot { other } else { one }),
            Between::To(hot) => (if one == hot { other } else { one }, hot),
        };
        let amount = self.dice.roll(900) as u32 + 100;
        Posted { id: SystemIds.next(), from: from as u32, to: to as u32, amount }
    }
}

impl Template {
    fn new(text: String) -> Self {
        let find_all = |what: &str| text.match_indices(what).map(|(at, _)| at).collect();
        let (ids, amounts) = (find_all(&NO_ID.to_string()), find_all(NO_AMOUNT));
        Self { bytes: text.into_bytes(), ids, amounts }
    }

    fn post(path: &str, token: &str, body: &str) -> Self {
        Self::post_with("", path, token, body)
    }

    /// With more headers.
    fn post_with(headers: &str, path: &str, token: &str, body: &str) -> Self {
        Self::new(format!(
            "POST /api/v1/ledger/{path} HTTP/1.1\r\nhost: bench\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    fn write(&mut self, transfers: &[Posted], accounts: &[Uuid]) {
        for (at, one) in transfers.iter().enumerate() {
            let ids = [one.id, accounts[one.from as usize], accounts[one.to as usize]];
            for (place, id) in self.ids[3 * at..].iter().zip(ids) {
                id.hyphenated().encode_lower(&mut self.bytes[*place..]);
            }
            let amount = one.amount.to_string();
            for &place in &self.amounts[2 * at..2 * at + 2] {
                self.bytes[place..place + amount.len()].copy_from_slice(amount.as_bytes());
            }
        }
    }

    fn write_ids(&mut self, ids: &[Uuid]) {
        for (place, id) in self.ids.iter().zip(ids) {
            id.hyphenated().encode_lower(&mut self.bytes[*place..]);
        }
    }
}

/// Signs in with the password that everybody has.
pub(crate) fn log_in(identifier: &str) -> String {
    post("/api/v1/auth/login", &json!({ "identifier": identifier, "password": PASSWORD }))
}

/// Makes an API client that may read and change the books, as the person whose token this is.
pub(crate) fn make_client(token: &str) -> String {
    let client = json!({ "name": "bench", "scopes": ["ledger:read", "ledger:write"] }).to_string();
    format!(
        "POST /api/v1/admin/api-clients HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         authorization: Bearer {token}\r\ncontent-length: {}\r\n\r\n{client}",
        client.len()
    )
}

/// Asks for an API client's token (RFC 6749, section 4.4).
pub(crate) fn client_token(id: &str, secret: &str) -> String {
    let credentials = BASE64.encode(format!("{id}:{secret}").as_bytes());
    let grant = "grant_type=client_credentials";
    format!(
        "POST /api/v1/oauth/token HTTP/1.1\r\nhost: bench\r\nauthorization: Basic {credentials}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{grant}",
        grant.len()
    )
}

/// Registers the person with this number.
pub(crate) fn register(number: usize) -> String {
    let person = json!({
        "email": email(number),
        "phoneNumber": format!("+2126{number:08}"),
        "password": PASSWORD,
        "displayName": "Somebody",
    });
    post("/api/v1/auth/register", &person)
}

fn email(number: usize) -> String {
    format!("person-{number}@example.com")
}

/// By nobody who is signed in.
fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The body of a transfer; a hold's is the same.
fn transfer() -> String {
    format!(
        "{{\"id\":\"{NO_ID}\",\"kind\":\"{KIND}\",\"legs\":[\
         {{\"accountId\":\"{NO_ID}\",\"direction\":\"debit\",\
         \"amountMinorUnits\":{NO_AMOUNT},\"currencyCode\":\"MAD\"}},\
         {{\"accountId\":\"{NO_ID}\",\"direction\":\"credit\",\
         \"amountMinorUnits\":{NO_AMOUNT},\"currencyCode\":\"MAD\"}}]}}"
    )
}
