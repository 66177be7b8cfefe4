//! Where accounts stand: what their rows say, and what the rows do not say yet.
//!
//! On SQLite the engine may write the row of an account later than its entries (ADR 15). Then
//! `journal_head.states_through` says up to which record every row has its entries. The engine of this process
//! knows where the accounts stand meanwhile; a reader who finds the journal where the engine left it takes
//! their standings from there. If another process has written, they are added up from the entries.

pub(crate) mod repo;
