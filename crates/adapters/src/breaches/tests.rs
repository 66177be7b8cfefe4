use crate::breaches::testing::{RangeFate, RangeStandIn};
use crate::breaches::*;
use tokio::task::JoinSet;

/// Its SHA-1 is 5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8, as everybody knows.
const KNOWN: &str = "password";
const PADDED: &str = "a plum, a tiger";
/// Less than with the service, and more than a busy machine needs to answer itself.
const QUICK: Patience = Patience {
    connection: Duration::from_secs(2),
    attempt: Duration::from_secs(2),
    total: Duration::from_secs(6),
    pause: Duration::from_millis(20),
};

async fn stand_in() -> RangeStandIn {
    RangeStandIn::start(&[(KNOWN, 10_434_004), (PADDED, 0)]).await
}

async fn look_up(base_url: &str, password: &str) -> Result<bool, BreachesError> {
    PwnedPasswords::with_patience(base_url, QUICK).unwrap().have(&password.into()).await
}

#[tokio::test]
async fn what_was_seen_is_told_from_what_was_not() {
    let service = stand_in().await;
    assert_eq!(look_up(service.base_url(), KNOWN).await, Ok(true));
    for unknown in ["Password", "password ", "", "a plum, a tiger and an ocean", "كلمة السر"]
    {
        assert_eq!(look_up(service.base_url(), unknown).await, Ok(false), "{unknown}");
    }
    // A line of padding.
    assert_eq!(look_up(service.base_url(), PADDED).await, Ok(false));
    let with_slash = format!("{}/", service.base_url());
    assert_eq!(look_up(&with_slash, KNOWN).await, Ok(true));
}

#[tokio::test]
async fn five_digits_leave_and_nothing_else() {
    let service = stand_in().await;
    for password in [KNOWN, "a plum, a tiger and an ocean"] {
        service.destine([RangeFate::Cut]);
        look_up(service.base_url(), password).await.unwrap();
    }
    let requests = service.requests();
    let lines: Vec<&str> = requests.iter().map(|request| request.line.as_str()).collect();
    let of_known = "GET /mirror/range/5BAA6 HTTP/1.1";
    assert_eq!(lines[..2], [of_known; 2]);
    assert_eq!((lines.len(), lines[2].len()), (4, of_known.len()));
    let secrets = [
        KNOWN.to_owned(),
        "5BAA61".to_owned(),
        "1E4C9B93F3F0682250B6CF8331B7EE68FD8".to_owned(),
        "plum".to_owned(),
    ];
    for request in &requests {
        assert!(request.body.is_empty());
        let headers: Vec<&str> = request.headers.keys().map(String::as_str).collect();
        assert_eq!(headers, ["accept", "add-padding", "host", "user-agent"]);
        assert_eq!(request.headers["add-padding"], "true");
        assert!(request.headers["user-agent"].starts_with("finitech/"));
        let sent = format!("{request:?}").to_lowercase();
        for secret in &secrets {
            assert!(!sent.contains(&secret.to_lowercase()), "{sent}");
        }
    }
}

/// What the first requests come to, how many come at all, and what is told: nothing where an answer came.
type Row = (Vec<RangeFate>, usize, Option<&'static str>);

#[tokio::test]
async fn what_may_help_is_tried_again_and_nothing_else() {
    use RangeFate::{Body, Cut, Silence, Slow, Status};
    let suffix = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
    let not_lines = Some("the answer is not lines of digits and counts");
    let body = |text: &str| vec![Body(text.as_bytes().to_vec())];
    let rows: Vec<Row> = vec![
        (vec![], 1, None),
        (vec![Slow(Duration::from_millis(300))], 1, None),
        (vec![Status(429, None)], 2, None),
        (vec![Status(429, Some(0)), Status(429, Some(1))], 3, None),
        (vec![Status(429, None); 3], 3, Some("the answer was 429")),
        // Nobody waits that long.
        (vec![Status(429, Some(60))], 1, Some("the answer was 429")),
        (vec![Status(500, None), Status(503, Some(1))], 3, None),
        (vec![Status(503, None); 3], 3, Some("the answer was 503")),
        (vec![Cut], 2, None),
        (vec![Cut; 3], 3, Some("the connection broke")),
        (vec![Silence], 2, None),
        (vec![Silence; 3], 3, Some("no answer in time")),
        // The operator's to put right.
        (vec![Status(400, None)], 1, Some("the answer was 400")),
        (vec![Status(404, None)], 1, Some("the answer was 404")),
        (vec![Status(302, None)], 1, Some("the answer was 302")),
        // Not this protocol, whatever it says.
        (body(""), 1, not_lines),
        (body("\r\n"), 1, not_lines),
        (body("<html>Please sign in</html>"), 1, not_lines),
        (body(&format!("{suffix}:1\r\nand more")), 1, not_lines),
        (body(&format!("5BAA6{suffix}:1")), 1, not_lines),
        (body(&format!("{suffix}:-1")), 1, not_lines),
        (vec![Body(vec![0xff, 0xfe])], 1, not_lines),
        (vec![Body(vec![b'A'; ANSWER_BYTES_MAX + 1])], 1, Some("the answer is too long")),
    ];
    // All at once, because some wait.
    let mut checks = JoinSet::new();
    for row in rows {
        checks.spawn(check(row));
    }
    checks.join_all().await;
}

async fn check((fates, requests, told): Row) {
    let service = stand_in().await;
    service.destine(fates.clone());
    let shown = format!("{fates:.200?}");
    let begun = Instant::now();
    let found = look_up(service.base_url(), KNOWN).await;
    let expected = told.map_or(Ok(true), |reason| Err(BreachesError(reason.to_owned())));
    assert_eq!(found, expected, "{shown}");
    assert_eq!(service.requests().len(), requests, "{shown}");
    // A busy machine comes back late.
    assert!(begun.elapsed() < QUICK.total.saturating_mul(2), "{shown}");
}

#[tokio::test]
async fn lines_are_understood_in_small_letters_and_with_any_ends() {
    let service = stand_in().await;
    let line = "1e4c9b93f3f0682250b6cf8331b7ee68fd8:2";
    let other = "0018A45C4D1DEF81644B54AB7F969B88D65:1";
    for body in [line.to_owned(), format!("{other}\n{line}\n"), format!("{other}\r\n{line} \r\n")] {
        service.destine([RangeFate::Body(body.clone().into_bytes())]);
        assert_eq!(look_up(service.base_url(), KNOWN).await, Ok(true), "{body}");
    }
    service.destine([RangeFate::Body(other.into())]);
    assert_eq!(look_up(service.base_url(), KNOWN).await, Ok(false));
}

#[tokio::test]
async fn who_cannot_be_reached_is_not_waited_for_and_failures_tell_no_digits() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = look_up(&closed, KNOWN).await.unwrap_err();
    assert_eq!(error, BreachesError("no connection".to_owned()));
    // Where TLS is asked for nothing leaves without.
    let service = stand_in().await;
    let over_tls = service.base_url().replace("http://", "https://");
    assert_eq!(look_up(&over_tls, KNOWN).await, Err(error));
    assert!(service.requests().is_empty());
    for fate in [RangeFate::Status(400, None), RangeFate::Body(b"5BAA61E4C9 is wrong".to_vec())] {
        service.destine([fate]);
        let error = look_up(service.base_url(), KNOWN).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains("5BAA6") && !told.contains("1E4C9"), "{told}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for base_url in ["", "api.pwnedpasswords.com", "ftp://api.pwnedpasswords.com"] {
        let error = PwnedPasswords::try_new(base_url).err();
        assert!(matches!(error, Some(PwnedPasswordsError::BaseUrl)), "{base_url}");
    }
    PwnedPasswords::try_new("https://api.pwnedpasswords.com/").unwrap();
}
