//! Streams as nobody should send them: however they are cut and whatever is in them, each line is taken
//! for what it says or refused, in its place, and no chain is torn.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow fails the test")]

use super::*;
use crate::http::bodies::PostTransactionBody;
use crate::http::fuzz::{any_body, config, initiator, sound, transaction};
use http_body_util::channel::Channel;
use ledger_api::NewTransaction;
use lines::LINE_BYTES_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

/// A line with its end, or with none.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let bodies = vec![sound(1, false), sound(2, true), sound(3, true)];
    let text = prop_oneof![
        20 => any_body(bodies),
        3 => prop::sample::select(vec![sound(4, true), sound(5, false)])
            .prop_map(|body| body.to_string().into_bytes()),
        1 => prop::sample::select(vec!["", " ", "\t", "\u{feff}", "\u{a0}"])
            .prop_map(|blank| blank.as_bytes().to_vec()),
    ];
    let end = prop::sample::select(vec!["\n", "\n", "\n", "\n", "\r\n", "\r", "", "\n\n"]);
    (text, end).prop_map(|(text, end)| [text, end.as_bytes().to_vec()].concat())
}

fn any_stream() -> impl Strategy<Value = (Vec<u8>, Vec<prop::sample::Index>)> {
    let long = (LINE_BYTES_MAX - 2..LINE_BYTES_MAX + 3).prop_map(|bytes| vec![b' '; bytes]);
    let lines = || vec(any_line(), 0..8).prop_map(|lines| lines.concat());
    let stream = prop_oneof![
        400 => lines(),
        1 => (lines(), long, lines()).prop_map(|(a, long, b)| [a, long, b].concat()),
    ];
    (stream, vec(any::<prop::sample::Index>(), 0..12))
}

/// The stream in frames, cut at these places.
async fn lines_of(stream: &[u8], cuts: &[prop::sample::Index]) -> (Vec<Bytes>, Option<Broken>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.sort_unstable();
    let (mut sender, body) = Channel::<Bytes>::new(cuts.len() + 1);
    let mut from = 0;
    for to in cuts.into_iter().chain([stream.len()]) {
        sender.send_data(Bytes::copy_from_slice(&stream[from..to])).await.unwrap();
        from = to;
    }
    drop(sender);
    let mut lines = Lines::new(Body::new(body), SILENCE_MAX);
    let mut found = Vec::new();
    loop {
        match lines.next().await {
            Ok(Some(line)) => found.push(line),
            Ok(None) => return (found, None),
            Err(broken) => return (found, Some(broken)),
        }
    }
}

/// The lines of the whole stream at once.
fn expected_lines(stream: &[u8]) -> (Vec<&[u8]>, Option<Broken>) {
    let mut lines: Vec<&[u8]> = stream.split(|byte| *byte == b'\n').collect();
    // What follows the last end is a line only if there is something.
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let too_long = lines.iter().position(|line| line.len() > LINE_BYTES_MAX);
    lines.truncate(too_long.unwrap_or(lines.len()));
    (lines, too_long.map(|_| Broken::TooLong))
}

/// What should come of each line that is not blank: the transaction, or none if it or one that it is linked
/// with cannot be read.
fn expected(lines: &[&[u8]]) -> Vec<(u64, Option<NewTransaction>)> {
    let mut chains: Vec<Vec<(u64, Option<NewTransaction>)>> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(lines) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = serde_json::from_slice::<Value>(line).ok();
        // What is wrong with a line does not tear it from the next.
        let says_so = value.as_ref().is_some_and(|value| value["linked"] == true);
        let read = value.filter(|_| web::parse_json::<PostTransactionBody>(line).is_ok());
        let read = read.as_ref().and_then(transaction);
        let is_linked = read.as_ref().map_or(says_so, |(.., is_linked)| *is_linked);
        let new = read.and_then(|(id, new, _)| id.map(|_| new));
        if !goes_on {
            chains.push(Vec::new());
        }
        goes_on = is_linked;
        chains.last_mut().unwrap().push((number, new));
    }
    if goes_on {
        chains.last_mut().unwrap().iter_mut().for_each(|(_, new)| *new = None);
    }
    for chain in &mut chains {
        if chain.iter().any(|(_, new)| new.is_none()) {
            chain.iter_mut().for_each(|(_, new)| *new = None);
        }
    }
    chains.concat()
}

/// What comes of each line.
fn gathered(lines: &[Bytes]) -> Vec<(u64, Option<NewTransaction>)> {
    let mut gatherer = Gatherer::new(initiator());
    let mut batches = Vec::new();
    for (number, line) in (1..).zip(lines) {
        if !line.trim_ascii().is_empty() {
            gatherer.add(number, line);
        }
        if gatherer.is_full() {
            batches.push(gatherer.take());
        }
    }
    gatherer.end();
    while gatherer.has_batch() {
        batches.push(gatherer.take());
    }
    let mut found = Vec::new();
    for Batch { slots, chains, .. } in batches {
        let mut waiting = chains.into_iter().flatten();
        for slot in slots {
            found.push(match slot {
                Slot::Waiting { line, id } => {
                    let new = waiting.next().unwrap();
                    assert_eq!(new.id.0, id);
                    (line, Some(new))
                }
                Slot::Refused(result) => (result.line, None),
            });
        }
        assert!(waiting.next().is_none());
    }
    found
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_stream_is_what_its_lines_say((stream, cuts) in any_stream()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (lines, broken) = runtime.block_on(lines_of(&stream, &cuts));
        let (plain, too_long) = expected_lines(&stream);
        prop_assert_eq!(broken, too_long);
        prop_assert!(lines.iter().map(Bytes::as_ref).eq(plain.iter().copied()), "{:?}", lines);
        prop_assert_eq!(gathered(&lines), expected(&plain));
    }
}
