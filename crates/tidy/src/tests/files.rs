//! What every crate and file looks like.

use super::workspace::{MODULES, crates, expect_none, root, sources};

#[test]
fn every_crate_says_what_it_is() {
    let missing: Vec<String> = crates()
        .into_iter()
        .map(|one| format!("crates/{}/README.md", one.name))
        .filter(|path| !root().join(path).exists())
        .collect();
    expect_none("every crate has a README, which is its documentation", &missing);
}

#[test]
fn every_module_has_the_same_shape() {
    let mut missing = Vec::new();
    for module in MODULES {
        for path in
            ["src/lib.rs", "src/migrations", "src/events.rs", "src/http/mod.rs", "tests/it/main.rs"]
        {
            let path = format!("crates/{module}/{path}");
            if !root().join(&path).exists() {
                missing.push(path);
            }
        }
    }
    expect_none("a newcomer knows where to look before opening", &missing);
}

#[test]
fn no_file_is_too_long_to_have_one_reason() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.text.lines().count(), source.name()))
        .filter(|(lines, _)| *lines > 600)
        .map(|(lines, name)| format!("{name}: {lines} lines"))
        .collect();
    expect_none("split files above 600 lines", &long);
}
