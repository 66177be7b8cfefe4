mod crates;
mod files;
mod sources;
mod workspace;
