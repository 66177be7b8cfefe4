//! What may stand in which file.

use super::workspace::{MODULES, Source, expect_none, sources};

fn offences(offends: impl Fn(&Source, &str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| source.krate != "tidy" && !source.is_test()) {
        for line in source.program().lines() {
            if offends(source, line) {
                offences.push(format!("{}: {}", source.name(), line.trim()));
            }
        }
    }
    offences
}

#[test]
fn axum_stands_only_in_web_server_and_http_folders() {
    let found = offences(|source, line| {
        let allowed = ["web", "server", "bench"].contains(&source.krate.as_str())
            || source.path.starts_with("src/http/");
        line.contains("axum::") && !allowed
    });
    expect_none("modules speak HTTP only in http/", &found);
}

#[test]
fn sql_stands_only_in_repositories_and_the_engine() {
    let words = ["\"select ", "\"insert into ", "\"update ", "\"delete from "];
    let found = offences(|source, line| {
        let allowed = ["store", "bench"].contains(&source.krate.as_str())
            || source.path.ends_with("/repo.rs")
            || source.path.starts_with("src/engine/")
            || source.path.ends_with("/encode.rs");
        words.iter().any(|word| line.contains(word)) && !allowed
    });
    expect_none("SQL stands in repo.rs", &found);
}

#[test]
fn statements_name_only_their_own_module() {
    let found = offences(|source, line| {
        MODULES.iter().any(|module| {
            *module != source.krate
                && ["from ", "into ", "join ", "update "]
                    .iter()
                    .any(|word| line.contains(&format!("{word}{module}.")))
        })
    });
    expect_none("no statement crosses modules", &found);
}

#[test]
fn there_is_no_floating_point_near_money() {
    let found = offences(|source, line| {
        let crates = ["kernel", "ledger", "ledger-api", "wallet", "ports"];
        let has = line.contains("f64") || line.contains("f32");
        has && crates.contains(&source.krate.as_str())
    });
    expect_none("amounts are integers", &found);
}

#[test]
fn there_is_no_unwrap_outside_tests() {
    let found = offences(|source, line| {
        line.contains(".unwrap()") && !source.path.contains("testing") && source.krate != "bench"
    });
    expect_none("handle the error, or say with expect why there is none", &found);
}

#[test]
fn nothing_is_left_undone() {
    // In two halves, so that this file does not find itself.
    let marks =
        [["TO", "DO"], ["FIX", "ME"], ["HA", "CK"], ["unimplemented", "!"]].map(|m| m.concat());
    let mut found = Vec::new();
    for source in sources() {
        for line in source.text.lines() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}: {}", source.name(), line.trim()));
            }
        }
    }
    expect_none("finish it, or say in an issue why not", &found);
}

/// The document of the API keeps schemas by the names of their types: of two with one name, one is lost.
#[test]
fn no_two_schemas_have_one_name() {
    let mut seen = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.krate != "tidy" && !source.is_test()) {
        let program = source.program();
        let mut is_schema = false;
        for line in program.lines() {
            is_schema |= line.contains("derive(") && line.contains("ToSchema");
            let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            let name =
                words.find(|word| ["struct", "enum"].contains(word)).and_then(|_| words.next());
            let (true, Some(name)) = (is_schema, name) else { continue };
            is_schema = false;
            if let Some(other) = seen.insert(name.to_owned(), source.name()) {
                found.push(format!("{name}: {other} and {}", source.name()));
            }
        }
    }
    assert!(seen.len() > 20, "the search for schemas finds too few: {seen:?}");
    expect_none("schemas have names of their own", &found);
}
