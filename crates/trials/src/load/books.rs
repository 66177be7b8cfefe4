//! The accounts before everything else, and the journal after it.

use super::Caller;
use super::codec::{Accounts, CURRENCY, instant, items};
use crate::history::Line;
use anyhow::Context;
use serde_json::{Value, json};

/// Opens the accounts and answers with the journal's last number: the demo world has been recorded before,
/// and nobody but the trial writes from here on.
pub(crate) async fn open_accounts(
    caller: &mut Caller<'_>,
    accounts: &Accounts,
) -> anyhow::Result<i64> {
    for (number, id) in accounts.0.iter().enumerate() {
        let (side, constraint) = match number {
            0 => ("debit", "unlimited"),
            _ => ("credit", "non_negative"),
        };
        let body = json!({
            "id": id,
            "name": format!("Trial {number}"),
            "currencyCode": CURRENCY,
            "normalSide": side,
            "constraint": { "type": constraint },
        });
        let opened = caller.ask("/api/v1/ledger/accounts", Some(&body)).await?.answer;
        anyhow::ensure!([200, 201].contains(&opened.status), "opening an account: {opened:?}");
    }
    let first = accounts.0.first().context("no accounts")?;
    let balance = caller.ask(&format!("/api/v1/ledger/accounts/{first}/balance"), None).await?;
    balance.answer.body["asOfSequence"].as_i64().context("a balance without asOfSequence")
}

/// Everything that was recorded after the base, and where the journal's time runs backwards.
pub(crate) async fn journal(
    caller: &mut Caller<'_>,
    accounts: &Accounts,
    base: i64,
) -> anyhow::Result<(Vec<Line>, Vec<String>)> {
    let mut records = Vec::new();
    for (list, time) in [("transactions", "recordedAt"), ("holds", "createdAt")] {
        let mut cursor = String::new();
        'pages: loop {
            let path = format!("/api/v1/ledger/{list}?limit=200{cursor}");
            let page = caller.ask(&path, None).await?.answer;
            anyhow::ensure!(page.status == 200, "{path}: {page:?}");
            for item in items(&page.body)? {
                if item["sequence"].as_i64().is_some_and(|sequence| sequence <= base) {
                    break 'pages;
                }
                records.push((accounts.line(item)?, instant(&item[time])?));
            }
            match &page.body["nextCursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
    }
    records.sort_by_key(|(line, _)| line.sequence);
    let backwards = records.iter().zip(records.iter().skip(1)).filter_map(|(before, after)| {
        let (line, at) = after;
        (*at < before.1)
            .then(|| format!("back in time: {} stands before {at} of {line:?}", before.1))
    });
    let backwards = backwards.collect();
    Ok((records.into_iter().map(|(line, _)| line).collect(), backwards))
}
