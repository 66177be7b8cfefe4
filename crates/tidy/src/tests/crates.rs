//! Which crate may know which.

use super::workspace::{Crate, MODULES, built_packages, crates, expect_none, root};

fn edges(offends: impl Fn(&Crate, &str) -> bool) -> Vec<String> {
    let mut offences = Vec::new();
    for one in crates() {
        for dependency in &one.dependencies {
            if offends(&one, dependency) {
                offences.push(format!("{} -> {dependency}", one.name));
            }
        }
    }
    offences
}

/// Ours by kind, from the bottom up.
const VOCABULARY: [&str; 1] = ["kernel"];
const PLUMBING: [&str; 4] = ["ports", "store", "web", "jobs"];

#[test]
fn kernel_knows_no_other_crate_of_ours_and_does_no_io() {
    let ours: Vec<String> = crates().into_iter().map(|one| one.name).collect();
    let io = ["tokio", "axum", "sea-orm", "sqlx", "rusqlite", "tracing"];
    let offences = edges(|one, dependency| {
        one.name == "kernel"
            && (ours.iter().any(|name| name == dependency) || io.contains(&dependency))
    });
    expect_none("kernel is the vocabulary", &offences);
}

#[test]
fn plumbing_and_apis_know_only_the_vocabulary() {
    let ours: Vec<String> = crates().into_iter().map(|one| one.name).collect();
    let offences = edges(|one, dependency| {
        let low = PLUMBING.contains(&one.name.as_str()) || one.name.ends_with("-api");
        low && ours.iter().any(|name| name == dependency) && !VOCABULARY.contains(&dependency)
    });
    expect_none("plumbing and -api crates stand on kernel alone", &offences);
}

#[test]
fn sealing_stands_below_the_modules() {
    let ours: Vec<String> = crates().into_iter().map(|one| one.name).collect();
    let below = ["kernel", "ports", "store"];
    let offences = edges(|one, dependency| {
        one.name == "sealing"
            && ours.iter().any(|name| name == dependency)
            && !below.contains(&dependency)
    });
    expect_none("sealing seals for every module and knows none", &offences);
}

#[test]
fn no_module_knows_the_implementation_of_another() {
    let offences = edges(|one, dependency| {
        MODULES.contains(&one.name.as_str()) && MODULES.contains(&dependency)
    });
    expect_none("modules meet only through -api crates", &offences);
}

#[test]
fn wallet_and_banking_never_meet() {
    let offences = edges(|one, dependency| {
        matches!((one.name.as_str(), dependency), ("wallet", "banking") | ("banking", "wallet"))
    });
    expect_none("wallet and banking never reference each other", &offences);
    for name in ["wallet-api", "banking-api"] {
        assert!(!root().join("crates").join(name).exists(), "{name} must not exist");
    }
}

#[test]
fn only_the_server_knows_every_module() {
    let offences = edges(|one, dependency| {
        MODULES.contains(&dependency) && !["server", "bench"].contains(&one.name.as_str())
    });
    expect_none("only server and bench build on modules", &offences);
}

#[test]
fn clients_of_the_outside_stand_only_in_adapters() {
    let clients = ["cryptoki", "lettre", "redis", "reqwest"];
    let offences = edges(|one, dependency| clients.contains(&dependency) && one.name != "adapters");
    expect_none("clients of mail servers, Redis, HTTP and HSMs stand only in adapters", &offences);
}

#[test]
fn only_the_server_knows_the_adapters() {
    let offences = edges(|one, dependency| dependency == "adapters" && one.name != "server");
    expect_none("everybody else knows the ports", &offences);
}

#[test]
fn every_module_tests_on_test_databases() {
    let missing: Vec<String> = crates()
        .into_iter()
        .filter(|one| MODULES.contains(&one.name.as_str()))
        .filter(|one| !one.test_dependencies.contains("store"))
        .map(|one| one.name)
        .collect();
    expect_none("every module tests on every store", &missing);
}

#[test]
fn there_is_one_crypto_stack() {
    let banned = ["ring", "openssl", "openssl-sys", "native-tls"];
    let built = built_packages();
    assert!(built.contains("aws-lc-rs"), "the packages were not found");
    let found: Vec<String> =
        built.into_iter().filter(|name| banned.contains(&name.as_str())).collect();
    expect_none("rustls with aws-lc-rs is the one stack", &found);
}
