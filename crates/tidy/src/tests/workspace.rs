//! What the rules look at: the workspace's crates and their sources.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata")
});

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the workspace").to_owned()
}

/// A crate of ours.
pub(super) struct Crate {
    pub(super) name: String,
    /// What it needs to build; what only its tests need is not in here.
    pub(super) dependencies: BTreeSet<String>,
    /// What only its tests need.
    pub(super) test_dependencies: BTreeSet<String>,
}

pub(super) fn crates() -> Vec<Crate> {
    let crates = METADATA.workspace_packages().into_iter().map(|package| {
        let of_kind = |test: bool| {
            let wanted = package
                .dependencies
                .iter()
                .filter(move |one| (one.kind == DependencyKind::Development) == test);
            wanted.map(|one| one.name.clone()).collect()
        };
        Crate {
            name: package.name.to_string(),
            dependencies: of_kind(false),
            test_dependencies: of_kind(true),
        }
    });
    crates.collect()
}

/// The names of all packages, ours or not, that are built with the features that we use.
pub(super) fn built_packages() -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--target", "all", "--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("text");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// The modules of the product: each owns data, and has the shape described in ARCHITECTURE.md.
pub(super) const MODULES: [&str; 4] = ["cards", "identity", "ledger", "wallet"];

/// A source file of a crate.
pub(super) struct Source {
    pub(super) krate: String,
    /// Below the crate's folder: `src/http/routes.rs`.
    pub(super) path: String,
    /// Everything.
    pub(super) text: String,
}

impl Source {
    pub(super) fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("/testing.rs")
    }

    /// The program, without the unit tests at the end of the file and without comments.
    pub(super) fn program(&self) -> String {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        let lines = self.text[..end].lines();
        lines.filter(|line| !line.trim_start().starts_with("//")).fold(
            String::new(),
            |mut program, line| {
                program.push_str(line);
                program.push('\n');
                program
            },
        )
    }

    pub(super) fn name(&self) -> String {
        format!("crates/{}/{}", self.krate, self.path)
    }
}

/// Every Rust source of ours.
pub(super) fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for one in crates() {
        let folder = root().join("crates").join(&one.name);
        let mut paths = Vec::new();
        collect(&folder, &mut paths);
        for path in paths {
            let text = fs::read_to_string(&path).expect("a source");
            let path = path.strip_prefix(&folder).expect("below").display().to_string();
            sources.push(Source { krate: one.name.clone(), path, text });
        }
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Fails with one line per offence.
pub(super) fn expect_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
