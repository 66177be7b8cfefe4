//! The baselines below the ledger: what the database does with the least that a transfer can be, and
//! pgbench.

use crate::Args;
use crate::database::Database;
use crate::world::Dice;
use anyhow::Context;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// Transfers of one commit.
const PER_COMMIT: usize = 1_000;

const TABLES: &str = "create table balances (id bigint primary key, balance bigint not null);
    create table transfers (id bigint primary key, debit bigint not null, credit bigint not null,
                            amount bigint not null, recorded_at bigint not null);";

/// One row inserted and two updated for each transfer, and nothing else.
pub(crate) struct Loop {
    accounts: usize,
    next: i64,
    dice: Dice,
    on: On,
}

enum On {
    Sqlite { connection: rusqlite::Connection, _folder: tempfile::TempDir },
    Postgres { connection: PgConnection, database: Database },
}

struct Transfer {
    id: i64,
    debit: i64,
    credit: i64,
    amount: i64,
}

impl Loop {
    pub(crate) async fn make(args: &Args) -> anyhow::Result<Self> {
        let on = match &args.postgres {
            None => make_sqlite(args.accounts)?,
            Some(url) => make_postgres(url, args.accounts).await?,
        };
        Ok(Self { accounts: args.accounts, next: 1, dice: Dice::new(7), on })
    }

    /// Transfers a second.
    pub(crate) async fn run(&mut self, duration: Duration) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut transfers: u32 = 0;
        while started.elapsed() < duration {
            let group = self.group();
            transfers += u32::try_from(group.len())?;
            match &mut self.on {
                On::Sqlite { connection, .. } => commit_sqlite(connection, &group)?,
                On::Postgres { connection, .. } => commit_postgres(connection, &group).await?,
            }
        }
        Ok(f64::from(transfers) / started.elapsed().as_secs_f64())
    }

    fn group(&mut self) -> Vec<Transfer> {
        let mut group = Vec::with_capacity(PER_COMMIT);
        for _ in 0..PER_COMMIT {
            let (debit, credit) = self.dice.pair(self.accounts);
            let amount = self.dice.roll(900) as i64 + 100;
            group.push(Transfer {
                id: self.next,
                debit: debit as i64,
                credit: credit as i64,
                amount,
            });
            self.next += 1;
        }
        group
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        match self.on {
            On::Sqlite { .. } => Ok(()),
            On::Postgres { database, .. } => database.remove().await,
        }
    }
}

fn make_sqlite(accounts: usize) -> anyhow::Result<On> {
    let folder = tempfile::tempdir()?;
    let mut connection = rusqlite::Connection::open(folder.path().join("bare.db"))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // There, only `integer primary key` is the row's own number.
    connection.execute_batch(&TABLES.replace("bigint", "integer"))?;
    let tx = connection.transaction()?;
    for id in 0..accounts {
        let sql = "insert into balances (id, balance) values (?1, 0)";
        tx.prepare_cached(sql)?.execute([id as i64])?;
    }
    tx.commit()?;
    Ok(On::Sqlite { connection, _folder: folder })
}

fn commit_sqlite(connection: &mut rusqlite::Connection, group: &[Transfer]) -> anyhow::Result<()> {
    let tx = connection.transaction()?;
    {
        let mut insert = tx.prepare_cached(
            "insert into transfers (id, debit, credit, amount, recorded_at) \
             values (?1, ?2, ?3, ?4, ?5)",
        )?;
        let mut update =
            tx.prepare_cached("update balances set balance = balance + ?2 where id = ?1")?;
        for one in group {
            insert.execute([one.id, one.debit, one.credit, one.amount, one.id])?;
            update.execute([one.debit, -one.amount])?;
            update.execute([one.credit, one.amount])?;
        }
    }
    Ok(tx.commit()?)
}

async fn make_postgres(url: &str, accounts: usize) -> anyhow::Result<On> {
    let database = Database::make(url).await?;
    let mut connection = database.connect().await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    sqlx::query("insert into balances select id, 0 from generate_series(0, $1 - 1) as id")
        .bind(accounts as i64)
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("vacuum analyze balances").execute(&mut connection).await?;
    Ok(On::Postgres { connection, database })
}

async fn commit_postgres(connection: &mut PgConnection, group: &[Transfer]) -> anyhow::Result<()> {
    let mut net: BTreeMap<i64, i64> = BTreeMap::new();
    for one in group {
        *net.entry(one.debit).or_default() -= one.amount;
        *net.entry(one.credit).or_default() += one.amount;
    }
    let column = |of: fn(&Transfer) -> i64| group.iter().map(of).collect::<Vec<i64>>();
    let mut tx = sqlx::Connection::begin(connection).await?;
    sqlx::query(
        "insert into transfers (id, debit, credit, amount, recorded_at) \
         select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])",
    )
    .bind(column(|one| one.id))
    .bind(column(|one| one.debit))
    .bind(column(|one| one.credit))
    .bind(column(|one| one.amount))
    .bind(column(|one| one.id))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update balances b set balance = b.balance + n.amount \
         from unnest($1::bigint[], $2::bigint[]) as n(id, amount) where b.id = n.id",
    )
    .bind(net.keys().copied().collect::<Vec<_>>())
    .bind(net.values().copied().collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

/// pgbench's own transaction, "TPC-B (sort of)".
pub(crate) struct Pgbench {
    program: PathBuf,
    database: Database,
}

const SCALE: &str = "50";
const CLIENTS: &str = "16";
const THREADS: &str = "2";

impl Pgbench {
    /// `None` when the program is not on this machine.
    pub(crate) async fn make(url: &str) -> anyhow::Result<Option<Self>> {
        let Some(program) = newest_pgbench() else { return Ok(None) };
        let one = Self { program, database: Database::make(url).await? };
        one.call(&["-i", "-q", "-s", SCALE])?;
        Ok(Some(one))
    }

    /// Transactions a second.
    pub(crate) fn run(&self, duration: Duration) -> anyhow::Result<f64> {
        let seconds = duration.as_secs().to_string();
        let text = self.call(&["-n", "-c", CLIENTS, "-j", THREADS, "-T", &seconds])?;
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|rest| rest.split(' ').next()).context("pgbench told no tps")?;
        Ok(tps.parse()?)
    }

    fn call(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output =
            Command::new(&self.program).args(arguments).arg(self.database.url()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "pgbench failed: {errors}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        self.database.remove().await
    }
}

fn newest_pgbench() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin/pgbench")))
        .filter(|program| program.exists())
        .collect();
    found.sort();
    found.pop()
}
