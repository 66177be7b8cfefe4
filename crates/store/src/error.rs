use sea_orm::{DbErr, SqlErr};

/// Why a store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer, or refused the statement.
    #[error("the database did not do what was asked")]
    Database(#[from] DbErr),
    /// The database holds something that the program never writes.
    #[error("inconsistent data in {table}.{column}, row {row}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// The folder of an embedded database could not be made.
    #[error("cannot create the data folder {path}")]
    DataFolder {
        /// The folder.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The database lacks migrations that this program needs.
    #[error("the {module} database lacks {} migration(s): {}", missing.len(), missing.join(", "))]
    NotMigrated {
        /// The module whose store it is.
        module: &'static str,
        /// Names of the migrations, in order.
        missing: Vec<String>,
    },
}

impl StoreError {
    /// An inconsistency found in data read back.
    pub fn inconsistent(
        table: &'static str,
        column: &'static str,
        row: impl std::fmt::Display,
    ) -> Self {
        Self::Inconsistent { table, column, row: row.to_string() }
    }

    /// Whether a unique constraint refused the write.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Database(error)
                if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
        )
    }
}
