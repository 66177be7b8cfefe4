#![doc = include_str!("../README.md")]

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable that says in which PostgreSQL database everything lies.
pub const CONNECTION_STRING: &str = "FINITECH__CONNECTION_STRINGS__DEFAULT";

/// What the program runs on.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The folder that it is started in.
    pub folder: &'a Path,
    /// Its data folder.
    pub data_dir: &'a Path,
    /// A PostgreSQL database for everything, or SQLite in the data folder.
    pub database_url: Option<&'a str>,
    /// What it logs.
    pub log_level: &'a str,
}

/// The program, with these settings and no others.
pub fn command(program: &Path, setting: Setting<'_>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(setting.folder)
        .env_clear()
        .env("FINITECH__DATA_DIR", setting.data_dir)
        .env("FINITECH__SERVER__ADDRESS", "127.0.0.1:0")
        .env("FINITECH__LOG__LEVEL", setting.log_level)
        .stdin(Stdio::null());
    if let Some(url) = setting.database_url {
        command.env(CONNECTION_STRING, url);
    }
    command
}

/// The program that was built together with the one that runs.
pub fn program_beside_this() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("finitech");
    if program.exists() {
        return Ok(program);
    }
    let text = format!("{} is not built; run: cargo build --release -p server", program.display());
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}

/// Where a server listens, `http://127.0.0.1:…` or with `https`, by the line that says that it is ready.
pub fn base_of(ready: &str) -> Option<&str> {
    ready.split_whitespace().find(|word| word.starts_with("http"))
}

/// What sends a signal, such as `-TERM`, to processes, all at once.
pub fn signal(name: &str, pids: &[u32]) -> Command {
    let mut command = Command::new("kill");
    command.arg(name).args(pids.iter().map(u32::to_string));
    command
}
