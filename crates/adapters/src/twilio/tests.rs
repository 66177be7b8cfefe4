use super::testing::{
    ACCOUNT_SID, API_KEY_SECRET, API_KEY_SID, AUTH_TOKEN, Fate, MESSAGING_SERVICE_SID, SENDER,
    TwilioStandIn,
};
use super::*;
use serde::Deserialize;
use std::process::Stdio;
use tokio::process::Command;
use tokio::task::JoinSet;

const NUMBER: &str = "+212612345678";
const TEXT: &str = "123456 is your code & more: été, 50 % = +1";
/// Less than with Twilio, and more than a busy machine needs to answer itself.
const QUICK: Patience = Patience {
    connection: Duration::from_secs(2),
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(8),
    pause: Duration::from_millis(20),
};

fn config(base_url: &str) -> TwilioConfig {
    TwilioConfig {
        base_url: base_url.to_owned(),
        account_sid: ACCOUNT_SID.to_owned(),
        credentials: TwilioCredentials {
            username: API_KEY_SID.to_owned(),
            password: API_KEY_SECRET.into(),
        },
        from: TwilioFrom::Sender(SENDER.to_owned()),
        status_callback_url: None,
    }
}

fn sms() -> Sms {
    Sms { to: NUMBER.to_owned(), text: TEXT.into() }
}

async fn send(config: TwilioConfig) -> Result<(), MessageError> {
    TwilioSender::with_patience(config, QUICK).unwrap().send_sms(sms()).await
}

#[tokio::test]
async fn twilio_gets_the_message() {
    let twilio = TwilioStandIn::start().await;
    send(config(twilio.base_url())).await.unwrap();
    let of_account =
        TwilioCredentials { username: ACCOUNT_SID.to_owned(), password: AUTH_TOKEN.into() };
    let service = TwilioFrom::MessagingService(MESSAGING_SERVICE_SID.to_owned());
    let callback = "https://bank.example/api/v1/sms/twilio/status";
    send(TwilioConfig {
        base_url: format!("{}/", twilio.base_url()),
        credentials: of_account,
        from: service,
        status_callback_url: Some(callback.to_owned()),
        ..config("")
    })
    .await
    .unwrap();
    let forms: Vec<Vec<(String, String)>> =
        twilio.taken().into_iter().map(|message| message.form.into_iter().collect()).collect();
    let pairs = |fields: &[(&str, &str)]| -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        forms,
        [
            pairs(&[("Body", TEXT), ("From", SENDER), ("To", NUMBER)]),
            pairs(&[
                ("Body", TEXT),
                ("MessagingServiceSid", MESSAGING_SERVICE_SID),
                ("StatusCallback", callback),
                ("To", NUMBER),
            ]),
        ]
    );
}

#[tokio::test]
async fn connections_are_kept() {
    let twilio = TwilioStandIn::start().await;
    let sender = TwilioSender::try_new(config(twilio.base_url())).unwrap();
    for _ in 0..3 {
        sender.send_sms(sms()).await.unwrap();
    }
    assert_eq!((twilio.requests(), twilio.connections()), (3, 1));
}

/// What the first requests come to, how many requests come at all, how many messages are taken, and what is
/// told: nothing when the message was sent.
type Row = (&'static [Fate], usize, usize, Option<&'static str>);

#[tokio::test]
async fn what_may_help_is_tried_again_and_nothing_else() {
    use Fate::{Answer, Cut, Silence};
    let rows: &[Row] = &[
        // Surely not taken: twice more.
        (&[Answer(429, Some(20429), None)], 2, 1, None),
        (&[Answer(429, Some(20429), Some(0)), Answer(429, None, Some(1))], 3, 1, None),
        (
            &[Answer(429, Some(20429), None); 3],
            3,
            0,
            Some("Twilio answered 429 with error 20429: https://www.twilio.com/docs/errors/20429"),
        ),
        // Nobody waits that long.
        (&[Answer(429, None, Some(60))], 1, 0, Some("Twilio answered 429")),
        // Perhaps taken: once more.
        (&[Answer(500, Some(20500), None)], 2, 1, None),
        (&[Answer(503, None, Some(1))], 2, 1, None),
        (&[Answer(502, None, None), Answer(503, None, None)], 2, 0, Some("Twilio answered 503")),
        (&[Answer(429, None, None), Answer(500, None, None)], 3, 1, None),
        (&[Cut], 2, 2, None),
        (&[Cut, Cut], 2, 2, Some("the connection to Twilio broke")),
        (&[Silence], 2, 2, None),
        (&[Silence, Cut], 2, 2, Some("the connection to Twilio broke")),
        (&[Cut, Silence], 2, 2, Some("Twilio did not answer in time")),
        // The operator's to put right.
        (
            &[Answer(401, Some(20003), None)],
            1,
            0,
            Some("Twilio answered 401 with error 20003: https://www.twilio.com/docs/errors/20003"),
        ),
        (
            &[Answer(400, Some(21606), None)],
            1,
            0,
            Some("Twilio answered 400 with error 21606: https://www.twilio.com/docs/errors/21606"),
        ),
        (&[Answer(400, None, None)], 1, 0, Some("Twilio answered 400")),
        (&[Answer(302, None, None)], 1, 0, Some("Twilio answered 302")),
    ];
    // All at once, because some wait.
    let mut checks = JoinSet::new();
    for row in rows {
        checks.spawn(check(*row));
    }
    checks.join_all().await;
}

async fn check((fates, requests, taken, told): Row) {
    let twilio = TwilioStandIn::start().await;
    twilio.destine(fates.iter().copied());
    let begun = Instant::now();
    let sent = send(config(twilio.base_url())).await;
    let expected = match told {
        Some(reason) => Err(MessageError::Unavailable(reason.to_owned())),
        None => Ok(()),
    };
    assert_eq!(sent, expected, "{fates:?}");
    assert_eq!((twilio.requests(), twilio.taken().len()), (requests, taken), "{fates:?}");
    let is_the_same = |message: &testing::TakenMessage| message.form["Body"] == TEXT;
    assert!(twilio.taken().iter().all(is_the_same), "{fates:?}");
    assert!(begun.elapsed() < QUICK.total, "{fates:?}");
}

#[tokio::test]
async fn a_number_that_nothing_arrives_at_is_told_apart() {
    for code in [21211, 21408, 21610, 21614] {
        let twilio = TwilioStandIn::start().await;
        twilio.destine([Fate::Answer(400, Some(code), None)]);
        let error = send(config(twilio.base_url())).await.unwrap_err();
        assert!(matches!(error, MessageError::Unreachable(_)), "{code}: {error}");
        assert_eq!(twilio.requests(), 1, "{code}");
    }
    let twilio = TwilioStandIn::start().await;
    let sender = TwilioSender::try_new(config(twilio.base_url())).unwrap();
    let nowhere = Sms { to: "+0".to_owned(), text: TEXT.into() };
    let error = sender.send_sms(nowhere).await.unwrap_err();
    assert!(matches!(error, MessageError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn failures_tell_neither_number_nor_text_nor_secret() {
    let twilio = TwilioStandIn::start().await;
    let mut errors = Vec::new();
    for fate in [
        Fate::Answer(400, Some(21211), None),
        Fate::Answer(400, Some(21606), None),
        Fate::Answer(400, None, None),
        Fate::Answer(401, Some(20003), None),
    ] {
        twilio.destine([fate]);
        errors.push(send(config(twilio.base_url())).await.unwrap_err());
    }
    twilio.destine([Fate::Cut, Fate::Silence]);
    errors.push(send(config(twilio.base_url())).await.unwrap_err());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    errors.push(send(config(&closed)).await.unwrap_err());
    assert_eq!(
        errors.last(),
        Some(&MessageError::Unavailable("Twilio cannot be reached".to_owned()))
    );
    for error in errors {
        let told = format!("{error} {error:?}");
        for secret in ["212612345678", "123456", API_KEY_SECRET] {
            assert!(!told.contains(secret), "{told}");
        }
    }
    assert!(!format!("{:?}", config("")).contains(API_KEY_SECRET));
}

#[tokio::test]
async fn where_tls_is_asked_for_nothing_leaves_without() {
    let twilio = TwilioStandIn::start().await;
    let over_tls = twilio.base_url().replace("http://", "https://");
    let error = send(config(&over_tls)).await.unwrap_err();
    assert_eq!(error, MessageError::Unavailable("Twilio cannot be reached".to_owned()));
    assert_eq!(twilio.requests(), 0);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refused = |config| TwilioSender::try_new(config).err().unwrap();
    for account_sid in
        ["", "AC1", "SK0123456789abcdef0123456789abcdef", "AC/../..?0123456789abcdef012345"]
    {
        let config = TwilioConfig { account_sid: account_sid.to_owned(), ..config(TWILIO_API) };
        assert!(matches!(refused(config), TwilioError::AccountSid), "{account_sid}");
    }
    for base_url in ["", "api.twilio.com", "ftp://api.twilio.com"] {
        assert!(matches!(refused(config(base_url)), TwilioError::BaseUrl), "{base_url}");
    }
    TwilioSender::try_new(config(TWILIO_API)).unwrap();
    TwilioSender::try_new(config("https://api.dublin.ie1.twilio.com/")).unwrap();
}

/// A callback as Twilio's library signs it.
#[derive(Deserialize)]
struct Signed {
    url: String,
    form: String,
    signature: String,
}

/// Where `FINITECH_TEST_TWILIO_PYTHON` names a Python that has Twilio's library.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
async fn twilios_own_library_agrees_with_the_stand_in_and_with_our_signatures() {
    let Ok(python) = std::env::var("FINITECH_TEST_TWILIO_PYTHON") else {
        return eprintln!("skipped: FINITECH_TEST_TWILIO_PYTHON is not set");
    };
    let twilio = TwilioStandIn::start().await;
    let ran = Command::new(python)
        .args(["-c", include_str!("twilio_library.py"), twilio.base_url()])
        .args([ACCOUNT_SID, AUTH_TOKEN, API_KEY_SID, API_KEY_SECRET, SENDER, MESSAGING_SERVICE_SID])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    // Ours, and theirs: the same form, whoever sends it.
    send(config(twilio.base_url())).await.unwrap();
    let taken = twilio.taken();
    assert_eq!(taken.len(), 3);
    assert_eq!(taken[0].form, taken[2].form);

    let signed: Vec<Signed> = serde_json::from_slice(&ran.stdout).unwrap();
    assert!(signed.len() >= 4);
    for Signed { url, form, signature } in signed {
        let callbacks = |auth_token: &str| {
            TwilioCallbacks::new(TwilioCallbackConfig {
                url: "https://bank.example/status".to_owned(),
                auth_token: auth_token.into(),
            })
        };
        let read = callbacks(AUTH_TOKEN).read(&signature, form.as_bytes());
        assert_eq!(read.map(|status| status.message_sid), Ok("SM1".to_owned()), "{url} {form}");
        let forged = callbacks("another").read(&signature, form.as_bytes());
        assert_eq!(forged, Err(CallbackError::Signature));
    }
}
