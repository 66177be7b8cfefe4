//! Databases for tests. A test that is listed in [`on_every_store!`](crate::on_every_store) runs on
//! SQLite and, when `FINITECH_TEST_POSTGRES_URL` names a server, on PostgreSQL: each time in a database
//! of its own that is dropped afterwards.

use crate::{Store, Target};
use sea_orm::{ConnectionTrait, Database, DbErr, TryGetable, Value};
use secrecy::{ExposeSecret, SecretString};

/// A database that lives as long as the test.
#[derive(Debug)]
pub struct TestDatabase {
    target: Target,
    // Both remove what they name when they are dropped.
    _folder: Option<tempfile::TempDir>,
    _postgres: Option<PostgresDatabase>,
}

#[derive(Debug)]
struct PostgresDatabase {
    admin_url: String,
    name: String,
}

impl TestDatabase {
    /// An empty folder for SQLite files.
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = Target::Sqlite { folder: folder.path().to_owned() };
        Self { target, _folder: Some(folder), _postgres: None }
    }

    /// An empty PostgreSQL database; `None` when no server is named.
    #[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
    pub async fn postgres() -> Option<Self> {
        let admin_url = std::env::var("FINITECH_TEST_POSTGRES_URL").ok()?;
        let name = format!("finitech_test_{}", uuid::Uuid::now_v7().simple());
        let database = PostgresDatabase { admin_url, name };
        database
            .administer(&format!("create database {}", database.name))
            .await
            .expect("FINITECH_TEST_POSTGRES_URL names a server where databases can be created");
        let target =
            Target::Postgres { url: SecretString::from(database.url()), max_connections: 5 };
        Some(Self { target, _folder: None, _postgres: Some(database) })
    }

    /// Where a store of this database opens.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The connection string of the PostgreSQL database; `None` for SQLite.
    pub fn postgres_url(&self) -> Option<&str> {
        match &self.target {
            Target::Postgres { url, .. } => Some(url.expose_secret()),
            Target::Sqlite { .. } => None,
        }
    }
}

/// Everything that a module's database keeps, as it lies in its files: what is not in there in clear is not
/// shown to whoever gets hold of them.
pub async fn stored_bytes(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(path) = store.sqlite_path() {
        for suffix in ["", "-wal"] {
            let mut file = path.clone().into_os_string();
            file.push(suffix);
            bytes.extend(std::fs::read(file).unwrap_or_default());
        }
        assert!(bytes.starts_with(b"SQLite format 3"), "the files were not read");
        return bytes;
    }
    store.read().execute_unprepared("checkpoint").await.expect("a superuser's connection");
    let files = format!(
        "select pg_read_binary_file(pg_relation_filepath(oid)) as file from pg_class \
         where relkind in ('r', 'i', 't') and (relnamespace = '{0}'::regnamespace or oid in \
         (select reltoastrelid from pg_class where relnamespace = '{0}'::regnamespace))",
        store.module()
    );
    let rows = store.read().query_all_raw(store.statement(&files, [])).await;
    for row in rows.expect("a superuser's connection") {
        bytes.extend(Vec::<u8>::try_get(&row, "", "file").expect("a file's bytes"));
    }
    assert!(bytes.len() > 50_000, "the files were not read");
    bytes
}

/// How the database would run a query, if it could help reading tables whole: without that PostgreSQL reads
/// small ones whole, whatever the indexes.
pub async fn plan_with_indexes(
    store: &Store,
    query: &str,
    binds: impl IntoIterator<Item = Value>,
) -> String {
    let tx = store.begin().await.expect("a transaction");
    let (explain, column) = match store.sqlite_path() {
        Some(_) => ("explain query plan", "detail"),
        None => {
            let sql = "set local enable_seqscan = off";
            tx.execute_unprepared(sql).await.expect("a setting that there is");
            ("explain", "QUERY PLAN")
        }
    };
    let statement = store.statement(&format!("{explain} {query}"), binds);
    let rows = tx.query_all_raw(statement).await.expect("a query that the database understands");
    let lines = rows.iter().map(|row| String::try_get(row, "", column).expect("a line of text"));
    lines.collect::<Vec<_>>().join("\n")
}

impl PostgresDatabase {
    /// The administrator's connection string with this database's name in it.
    fn url(&self) -> String {
        let (address, options) = self.admin_url.split_once('?').unwrap_or((&self.admin_url, ""));
        let scheme_end = address.find("://").map_or(0, |at| at.saturating_add(3));
        let server = address[scheme_end..]
            .find('/')
            .map_or(address, |at| &address[..scheme_end.saturating_add(at)]);
        let separator = if options.is_empty() { "" } else { "?" };
        format!("{server}/{}{separator}{options}", self.name)
    }

    async fn administer(&self, sql: &str) -> Result<(), DbErr> {
        let connection = Database::connect(self.admin_url.as_str()).await?;
        connection.execute_unprepared(sql).await?;
        connection.close().await
    }
}

impl Drop for PostgresDatabase {
    /// On a thread of its own, because the test's runtime cannot wait here.
    fn drop(&mut self) {
        let database =
            Self { admin_url: self.admin_url.clone(), name: std::mem::take(&mut self.name) };
        if database.name.is_empty() {
            return;
        }
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let sql = format!("drop database if exists {} with (force)", database.name);
            let dropped = runtime.map(|runtime| runtime.block_on(database.administer(&sql)));
            // The name is taken out so that this copy's own drop does nothing.
            std::mem::forget(database);
            drop(dropped);
        });
        drop(dropping.join());
    }
}

/// Runs tests on every store: lists functions `async fn name(database: TestDatabase)`.
#[macro_export]
macro_rules! on_every_store {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name($crate::testing::TestDatabase::sqlite()).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    match $crate::testing::TestDatabase::postgres().await {
                        Some(database) => super::$name(database).await,
                        None => eprintln!("skipped: FINITECH_TEST_POSTGRES_URL is not set"),
                    }
                }
            )+
        }
    };
}
