use super::*;
use secrecy::ExposeSecret;
use web::Quota;

fn load(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Config> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Config::from_sources(text, variables.iter().map(own))
}

#[test]
fn the_environment_overrides_the_file() {
    let config = load(
        "data_dir = \"/a\"\n[server]\naddress = \"127.0.0.1:1\"\nbody_bytes_max = 5",
        &[
            ("FINITECH__DATA_DIR", "/b"),
            ("FINITECH__SERVER__ADDRESS", "127.0.0.1:2"),
            ("FINITECH__SERVER__TRUSTED_PROXIES", "[\"10.0.0.0/8\"]"),
            ("FINITECH__CONNECTION_STRINGS__DEFAULT", "postgres://u:p@h/d"),
            ("FINITECH__ENVIRONMENT", "Production"),
            ("FINITECH__JWT__ISSUER", "\"123\""),
            ("FINITECH_TEST_POSTGRES_URL", "not ours"),
            ("HOME", "/root"),
        ],
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/b"));
    assert_eq!(config.server.address.port(), 2);
    assert_eq!(config.server.body_bytes_max, 5);
    assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8"]);
    assert_eq!(config.environment, Environment::Production);
    assert_eq!(config.jwt.issuer, "123");
    let default = config.connection_strings.default.unwrap();
    assert_eq!(default.expose_secret(), "postgres://u:p@h/d");
}

#[test]
fn unknown_keys_are_refused() {
    for (text, variables) in [
        ("adress = 1", &[][..]),
        ("[server]\nport = 1", &[]),
        ("", &[("FINITECH__SERVER__PORT", "1")]),
        ("", &[("FINITECH__DATADIR", "x")]),
        ("", &[("FINITECH__DATA_DIR__X", "x")]),
        ("environment = \"production\"", &[]),
    ] {
        assert!(load(text, variables).is_err(), "{text} {variables:?}");
    }
}

#[test]
fn a_module_may_have_a_database_of_its_own() {
    let config =
        load("[connection_strings]\ndefault = \"postgres://a\"\nledger = \"postgres://b\"", &[])
            .unwrap();
    let url = |module| match config.target(module) {
        Target::Postgres { url, .. } => url.expose_secret().to_owned(),
        Target::Sqlite { .. } => "sqlite".to_owned(),
    };
    assert_eq!(url("wallet"), "postgres://a");
    assert_eq!(url("ledger"), "postgres://b");
}

#[test]
fn connection_strings_are_not_printed() {
    for text in [
        "[connection_strings]\ndefault = \"postgres://u:hunter2@h/d\"",
        "[rate_limiting]\nredis_url = \"redis://u:hunter2@h/0\"",
    ] {
        let config = load(text, &[]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"), "{text}");
    }
}

#[test]
fn what_is_unsafe_is_refused_in_production_and_all_of_it_at_once() {
    let config = load("environment = \"Production\"", &[]).unwrap();
    assert_eq!(config.refusals().len(), 1);
    let text = "environment = \"Production\"\n[payment_gateway]\nprovider = \"sandbox\"";
    assert_eq!(load(text, &[]).unwrap().refusals().len(), 2);
    let text = "environment = \"Production\"\n[email]\nprovider = \"outbox\"\n\
                [sms]\nprovider = \"outbox\"";
    assert_eq!(load(text, &[]).unwrap().refusals().len(), 3);
    for network in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "proxy/8", ""] {
        let text = format!("[server]\ntrusted_proxies = [\"{network}\"]");
        assert_eq!(load(&text, &[]).unwrap().refusals().len(), 1, "{network}");
    }
    let text = "[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"fd00::/8\"]";
    assert!(load(text, &[]).unwrap().refusals().is_empty());
    for (text, refused) in [
        ("environment = \"Production\"\n[rate_limiting]\nenabled = false", 2),
        ("environment = \"Production\"\n[cors]\nallowed_origins = [\"http://a.example\"]", 2),
        ("environment = \"Production\"\n[smtp]\nsecurity = \"none\"", 2),
        ("environment = \"Production\"\n[staff]\nfour_eyes = false", 2),
        ("[staff]\nfour_eyes = false", 0),
        ("[step_up]\ntransfers_above = [\"100 MAD\", \"MAD 100\", \"1.5 EUR\", \"-1 EUR\"]", 3),
        ("[staff]\nallowed_networks = [\"10.0.0.1\", \"fd00::/129\", \"fd00::/8\"]", 2),
        ("[rate_limiting]\nenabled = false", 0),
        ("[cors]\nallowed_origins = [\"http://localhost:3000\", \"https://a.example\"]", 0),
        ("[cors]\nallowed_origins = [\"*\", \"https://a.example/\", \"https://*.example\"]", 3),
    ] {
        assert_eq!(load(text, &[]).unwrap().refusals().len(), refused, "{text}");
    }
    let text = "[server]\naddress = \"0.0.0.0:8080\"";
    assert_eq!(load(text, &[]).unwrap().refusals().len(), 1);
    assert!(load("", &[]).unwrap().refusals().is_empty());
}

#[test]
fn rate_limits_are_on_in_production() {
    let limits = |text| load(text, &[]).unwrap().rate_limits();
    assert!(limits("").is_none());
    let production = limits("environment = \"Production\"").unwrap();
    assert_eq!(production.global, Quota { requests: 100, window: Duration::from_mins(1) });
    assert_eq!(production.authentication, Quota { requests: 5, window: Duration::from_mins(5) });
    assert_eq!(production.payments, Quota { requests: 10, window: Duration::from_mins(1) });
    let chosen = limits("[rate_limiting]\nenabled = true\npayments_per_minute = 3").unwrap();
    assert_eq!(chosen.payments.requests, 3);
}

#[test]
fn administrative_routes_are_closed_in_production_until_networks_are_named() {
    let networks = |text| load(text, &[]).unwrap().staff_networks();
    assert_eq!(networks(""), None);
    assert_eq!(networks("environment = \"Production\"").unwrap(), []);
    let named = "[staff]\nallowed_networks = [\"10.0.0.0/8\"]";
    assert_eq!(networks(named).unwrap(), ["10.0.0.0/8".parse().unwrap()]);
}
