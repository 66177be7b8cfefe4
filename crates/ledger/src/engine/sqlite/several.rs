//! Inserting many rows with few statements. SQLite goes to the end of a table once for each statement, and that
//! costs more than a narrow row: so inserted, 1,170,000 entries went in where it were 600,000 one by one.

use super::Error;
use rusqlite::{Connection, Statement, ToSql};

/// How many rows a statement inserts. What is left is inserted one by one.
const ROWS: usize = 16;

/// The values of a statement, in order.
pub(super) struct Values<'a, 'connection> {
    statement: &'a mut Statement<'connection>,
    count: usize,
}

impl Values<'_, '_> {
    pub(super) fn put(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.count = self.count.saturating_add(1);
        self.statement.raw_bind_parameter(self.count, value)
    }
}

/// Inserts rows `into` a table, which names its columns: as many as `put` puts values for each row.
pub(super) fn insert<T>(
    tx: &Connection,
    into: &str,
    columns: usize,
    rows: &[T],
    put: impl Fn(&T, &mut Values<'_, '_>) -> rusqlite::Result<()>,
) -> Result<(), Error> {
    let (several, rest) = rows.as_chunks::<ROWS>();
    if !several.is_empty() {
        let mut statement = tx.prepare_cached(&sql(into, columns, ROWS))?;
        for part in several {
            execute(&mut statement, part, &put)?;
        }
    }
    if !rest.is_empty() {
        let mut statement = tx.prepare_cached(&sql(into, columns, 1))?;
        for row in rest.chunks(1) {
            execute(&mut statement, row, &put)?;
        }
    }
    Ok(())
}

fn execute<T>(
    statement: &mut Statement<'_>,
    rows: &[T],
    put: impl Fn(&T, &mut Values<'_, '_>) -> rusqlite::Result<()>,
) -> Result<(), Error> {
    let mut values = Values { statement, count: 0 };
    for row in rows {
        put(row, &mut values)?;
    }
    statement.raw_execute()?;
    Ok(())
}

/// A row that is refused takes the whole transaction with it (`or rollback`), as it would anyway: SQLite need
/// not copy each page before, so as to undo this statement alone.
fn sql(into: &str, columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(", "));
    format!("insert or rollback into {into} values {}", vec![row; rows].join(", "))
}
