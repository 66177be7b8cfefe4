//! Where accounts stand: what their rows say, and what the rows do not say yet.
//!
//! On SQLite the engine may write the row of an account later than its entries and holds (ADRs 15 and 16). Then
//! `journal_head.states_through` says up to which record every row has them. The engine of this process
//! knows where the accounts stand meanwhile; a reader who finds the journal where the engine left it takes
//! their standings from there. If another process has written, they are added up from entries and holds.

pub(crate) mod repo;
