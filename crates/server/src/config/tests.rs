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
    for network in ["0.0.0.0/0", "::/0"] {
        let text =
            format!("environment = \"Production\"\n[server]\ntrusted_proxies = [\"{network}\"]");
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
        ("environment = \"Production\"\n[staff]\nsecond_factor = false", 2),
        ("[staff]\nsecond_factor = false", 0),
        ("environment = \"Production\"\n[registration]\ntrust_contacts = true", 2),
        ("environment = \"Production\"\n[registration]\ntrust_contacts = false", 1),
        ("[registration]\ntrust_contacts = true", 0),
        ("[step_up]\ntransfers_above = [\"100 MAD\", \"MAD 100\", \"1.5 EUR\", \"-1 EUR\"]", 3),
        ("[staff]\nallowed_networks = [\"10.0.0.1\", \"fd00::/129\", \"fd00::/8\"]", 2),
        ("environment = \"Production\"\n[passkeys]\nenabled = true", 3),
        ("environment = \"Production\"\n[passkeys]\nrelying_party_id = \"bank.example\"", 2),
        ("environment = \"Production\"\n[passkeys]\norigins = [\"https://bank.example\"]", 3),
        ("[passkeys]\norigins = [\"http://localhost:5173\"]", 0),
        ("[passkeys]\norigins = [\"https://bank.example\"]", 1),
        ("[passkeys]\nenabled = false\norigins = [\"x\"]", 0),
        ("[rate_limiting]\nenabled = false", 0),
        ("[sessions]\nlifetime_hours = 0", 1),
        ("environment = \"Production\"\n[tls]\ncertificate_file = \"c\"\nkey_file = \"k\"", 0),
        ("environment = \"Production\"\n[tls]\ncertificate_file = \"c\"", 2),
        ("[tls]\nkey_file = \"k\"", 1),
        ("[tls]\nredirect_address = \"127.0.0.1:80\"", 1),
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
fn production_reaches_databases_elsewhere_only_if_they_show_who_they_are() {
    let production = "environment = \"Production\"\n[server]\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
    for (url, is_safe) in [
        ("postgres://u:hunter2@db.example.com/d?sslmode=verify-full", true),
        ("postgres://u:hunter2@db.example.com/d?sslmode=verify-ca&sslrootcert=ca.pem", true),
        ("postgres://u:hunter2@db.example.com/d?sslmode=require", false),
        ("postgres://u:hunter2@db.example.com/d?sslmode=prefer", false),
        ("postgres://u:hunter2@db.example.com/d", false),
        ("postgres://u:hunter2@10.0.0.7/d", false),
        ("postgres://u:hunter2@localhost.example.com/d", false),
        ("postgres://u:hunter2@localhost/d?host=db.example.com", false),
        ("postgres://u:hunter2@localhost/d", true),
        ("postgres://u:hunter2@127.0.0.1/d", true),
        ("postgres://u:hunter2@[::1]/d", true),
        ("postgres://u:hunter2@%2Fvar%2Frun%2Fpostgresql/d", true),
        ("postgres:///d?host=/var/run/postgresql", true),
    ] {
        for key in ["default", "ledger"] {
            let strings = format!("[connection_strings]\n{key} = \"{url}\"\n");
            let refusals = load(&format!("{production}{strings}"), &[]).unwrap().refusals();
            assert_eq!(refusals.is_empty(), is_safe, "{url}: {refusals:?}");
            let told = refusals.concat();
            assert!(is_safe || told.contains(&format!("connection_strings.{key}")), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
            let known = format!("{production}{strings}[postgres]\nnetwork_is_protected = true");
            assert!(load(&known, &[]).unwrap().refusals().is_empty(), "{url}");
            assert!(load(&strings, &[]).unwrap().refusals().is_empty(), "Development: {url}");
        }
    }
    let refusals = load("[connection_strings]\ndefault = \"hunter2\"", &[]).unwrap().refusals();
    assert_eq!(refusals.len(), 1);
    assert!(!refusals[0].contains("hunter2"), "{refusals:?}");
}

#[test]
fn text_messages_leave_through_twilio_only_if_nothing_is_missing() {
    let account = "[sms]\nprovider = \"twilio\"\n[twilio]\naccount_sid = \"AC1\"\n";
    let complete = format!("{account}auth_token_file = \"t\"\nfrom = \"Finitech\"\n");
    for (text, refused) in [
        ("[sms]\nprovider = \"twilio\"".to_owned(), 3),
        (account.to_owned(), 2),
        (complete.clone(), 0),
        (format!("{complete}messaging_service_sid = \"MG1\""), 1),
        (format!("{complete}api_key_sid = \"SK1\""), 1),
        (format!("{complete}api_key_sid = \"SK1\"\napi_key_secret_file = \"s\""), 0),
        (format!("{complete}status_callback_url = \"http://localhost/a\""), 0),
        (format!("{complete}base_url = \"http://localhost\""), 0),
        (
            format!(
                "{account}from = \"1\"\napi_key_sid = \"SK1\"\napi_key_secret_file = \"s\"\n\
                 status_callback_url = \"https://bank.example/a\""
            ),
            1,
        ),
        // What nobody uses may be anything.
        ("[sms]\nprovider = \"disabled\"\n[twilio]\nbase_url = \"x\"".to_owned(), 0),
    ] {
        let refusals = load(&text, &[]).unwrap().refusals();
        assert_eq!(refusals.len(), refused, "{text}: {refusals:?}");
        let in_production = format!("environment = \"Production\"\n{text}");
        let in_clear = text.matches("http://").count();
        let refusals = load(&in_production, &[]).unwrap().refusals();
        assert_eq!(refusals.len(), refused + in_clear + 1, "{text}: {refusals:?}");
    }
    let number = [("FINITECH__TWILIO__FROM", "+15005550006")];
    let config = load("", &number).unwrap();
    assert_eq!(config.twilio.from.as_deref(), Some("+15005550006"));
}

#[test]
fn words_that_nobody_may_make_a_password_of_can_be_named() {
    let words = [("FINITECH__PASSWORDS__CONTEXT_WORDS", "[\"Banque Zellige\", \"ZLG\"]")];
    let config = load("", &words).unwrap();
    assert_eq!(config.passwords.context_words, ["Banque Zellige", "ZLG"]);
    assert_eq!(config.refusals(), [""; 0]);
    let many = format!("[{}]", "\"word\",".repeat(201));
    for (list, told) in [("[\"ab\"]", "shorter than 3"), (many.as_str(), "more than 200")] {
        let config = load(&format!("[passwords]\ncontext_words = {list}"), &[]).unwrap();
        assert!(config.refusals().concat().contains(told), "{list}");
    }
}

#[test]
fn breached_passwords_are_looked_up_over_tls_in_production() {
    let config = load("", &[]).unwrap();
    assert!(config.passwords.breaches_url.is_none() && config.passwords.accept_unchecked);
    let refusals = |environment: &str, url: &str| {
        let text = format!(
            "environment = \"{environment}\"\n[passwords]\nbreaches_url = \"{url}\"\n\
             accept_unchecked = false"
        );
        load(&text, &[]).unwrap().refusals().concat()
    };
    for (environment, url, is_refused) in [
        ("Production", "https://api.pwnedpasswords.com", false),
        ("Production", "http://10.0.0.7/pwned", true),
        ("Development", "http://127.0.0.1:9000", false),
    ] {
        let told = refusals(environment, url);
        assert_eq!(told.contains("passwords.breaches_url"), is_refused, "{url}: {told}");
    }
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
fn staff_need_a_second_factor_in_production() {
    let is_needed = |text: &str| {
        let config = load(text, &[]).unwrap();
        config.staff.needs_second_factor(config.environment)
    };
    assert!(is_needed("environment = \"Production\""));
    assert!(!is_needed(""));
    assert!(is_needed("[staff]\nsecond_factor = true"));
}

#[test]
fn administrative_routes_are_closed_in_production_until_networks_are_named() {
    let networks = |text| load(text, &[]).unwrap().staff_networks();
    assert_eq!(networks(""), None);
    assert_eq!(networks("environment = \"Production\"").unwrap(), []);
    let named = "[staff]\nallowed_networks = [\"10.0.0.0/8\"]";
    assert_eq!(networks(named).unwrap(), ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn a_hardware_security_module_needs_its_settings() {
    let source = ("FINITECH__SIGNING_KEYS__SOURCE", "pkcs11");
    let refused = load("", &[source]).unwrap().refusals().join(" ");
    for name in ["pkcs11.module", "pkcs11.token_label", "pkcs11.pin_file"] {
        assert!(refused.contains(name), "{refused}");
    }
    let text = "[pkcs11]\nmodule = \"/usr/lib/hsm.so\"\ntoken_label = \"bank\"\n\
        pin_file = \"/run/secrets/pin\"";
    assert_eq!(load(text, &[source]).unwrap().refusals(), [""; 0]);
    let bits = ("FINITECH__SIGNING_KEYS__RSA_BITS", "1024");
    assert!(load("", &[bits]).unwrap().refusals().join(" ").contains("rsa_bits is 1024"));
}

#[test]
fn signing_keys_are_followed_by_others_unless_the_operator_does_not_want_that() {
    let days = |variables: &[_]| load("", variables).unwrap().signing_keys.rotate_every();
    assert_eq!(days(&[]), Some(Duration::from_hours(90 * 24)));
    assert_eq!(days(&[("FINITECH__SIGNING_KEYS__ROTATE_EVERY_DAYS", "0")]), None);
}

#[test]
fn passkeys_are_for_the_site_that_is_named_and_for_nobody_elses_pages() {
    let site = |text: &str| {
        let config = load(text, &[]).unwrap();
        config.passkeys.relying_party(config.environment)
    };
    assert_eq!(site("").unwrap().id, "localhost");
    assert_eq!(site("environment = \"Production\""), None);
    assert_eq!(site("[passkeys]\nenabled = false"), None);
    let production = |origin: &str| {
        let text = format!(
            "environment = \"Production\"\n[passkeys]\nrelying_party_id = \"bank.example\"\n\
             origins = [\"{origin}\"]"
        );
        // The proxy is missing.
        load(&text, &[]).unwrap().refusals().len() - 1
    };
    for origin in ["https://bank.example", "https://app.bank.example", "https://bank.example:8443"]
    {
        assert_eq!(production(origin), 0, "{origin}");
    }
    for origin in [
        "http://bank.example",
        "https://evilbank.example",
        "https://bank.example.evil.example",
        "https://example",
        "bank.example",
        "https://bank.example/",
        "",
    ] {
        assert_eq!(production(origin), 1, "{origin}");
    }
}
