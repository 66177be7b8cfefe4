use super::*;

/// One at a time, and one that waits.
const CHEAP: PasswordHashConfig =
    PasswordHashConfig { concurrent_max: 1, waiting_max: 1, ..crate::testing::CHEAP };

fn password(text: &str) -> SecretString {
    text.into()
}

#[tokio::test]
async fn hashes_have_the_parameters_of_the_guide() {
    let passwords = Passwords::try_new(&PasswordHashConfig::default()).unwrap();
    let hash = passwords.hash(&password("demo-Finitech-1")).await.unwrap();
    let parts: Vec<&str> = hash.split('$').collect();
    assert_eq!(parts[..4], ["", "argon2id", "v=19", "m=65536,t=3,p=4"], "{hash}");
    assert_eq!(parts[4].len(), 22, "16 bytes of salt in base64");
    assert_eq!(parts[5].len(), 43, "32 bytes of hash in base64");
}

#[tokio::test]
async fn only_the_right_password_verifies() {
    let passwords = Passwords::try_new(&CHEAP).unwrap();
    let (right, wrong) = (password("demo-Finitech-1"), password("demo-Finitech-2"));
    let hash = passwords.hash(&right).await.unwrap();
    assert_eq!(passwords.verify(&right, Some(&hash)).await.unwrap(), Verdict::Right);
    assert_eq!(passwords.verify(&wrong, Some(&hash)).await.unwrap(), Verdict::Wrong);
    assert_eq!(passwords.verify(&right, None).await.unwrap(), Verdict::Wrong);
    assert_ne!(passwords.hash(&right).await.unwrap(), hash, "salts differ");
    let broken = passwords.verify(&right, Some("not a hash")).await;
    assert!(matches!(broken, Err(PasswordError::Hashing(HashingError::Hash(_)))));
}

#[tokio::test]
async fn hashes_of_other_parameters_are_outdated() {
    let today = Passwords::try_new(&CHEAP).unwrap();
    let right = password("demo-Finitech-1");
    for other in [
        PasswordHashConfig { memory_kib: 128, ..CHEAP },
        PasswordHashConfig { iterations: 2, ..CHEAP },
        PasswordHashConfig { lanes: 2, ..CHEAP },
    ] {
        let hash = Passwords::try_new(&other).unwrap().hash(&right).await.unwrap();
        let verdict = today.verify(&right, Some(&hash)).await.unwrap();
        assert_eq!(verdict, Verdict::RightButOutdated, "{other:?}");
    }
}

#[tokio::test]
async fn nobodys_hash_costs_what_a_users_does() {
    let passwords = Passwords::try_new(&PasswordHashConfig::default()).unwrap();
    let nobodys = PasswordHash::new(&passwords.nobodys_hash).unwrap();
    assert!(is_current(passwords.argon2.params(), &nobodys));
    assert_eq!(nobodys.salt.unwrap().len(), SALT_BYTES);
    assert_eq!(nobodys.hash.unwrap().len(), HASH_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_wait_is_refused() {
    let passwords = Arc::new(Passwords::try_new(&CHEAP).unwrap());
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let busy = tokio::spawn({
        let passwords = passwords.clone();
        async move {
            let place = passwords.place().unwrap();
            passwords.work(place, move || Ok(gate.recv())).await.is_ok()
        }
    });
    while passwords.workers.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let passwords = passwords.clone();
        async move { passwords.hash(&password("demo-Finitech-1")).await.is_ok() }
    });
    while passwords.places.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = passwords.hash(&password("demo-Finitech-1")).await;
    assert!(matches!(refused, Err(PasswordError::Busy)));
    release.send(()).unwrap();
    assert!(busy.await.unwrap() && waiting.await.unwrap());
    passwords.hash(&password("demo-Finitech-1")).await.unwrap();
}

#[test]
fn impossible_settings_are_refused() {
    let config = PasswordHashConfig { memory_kib: 8, ..CHEAP };
    assert!(matches!(Passwords::try_new(&config), Err(HashingError::Settings(_))));
}

#[tokio::test]
async fn hashes_from_elsewhere_are_outdated() {
    let passwords = Passwords::try_new(&CHEAP).unwrap();
    let stored = "$pbkdf2-sha256$v=1$i=1000$__79_Pv6-fj39vX08_Lx8A==\
                  $2OSBbFr763jcw3s8oie-FutmVN-Wma_pFDpUeRw1TWM=";
    for (text, expected) in
        [("demo-Finitech-1", Verdict::RightButOutdated), ("demo-Finitech-2", Verdict::Wrong)]
    {
        assert_eq!(passwords.verify(&password(text), Some(stored)).await.unwrap(), expected);
    }
    let broken = passwords.verify(&password("x"), Some("$pbkdf2-sha256$x")).await;
    assert!(matches!(broken, Err(PasswordError::Hashing(HashingError::Unreadable))));
}

/// How long this thread was on a processor, in nanoseconds: what else the machine does hardly counts.
#[cfg(target_os = "linux")]
fn worked() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// Measured, with the costs that are set by default. The least of several turns is the one that was
/// disturbed least; other tests on the same memory still count.
#[cfg(target_os = "linux")]
#[test]
fn being_refused_takes_the_same_work_whatever_the_hash_is() {
    let passwords = |config| Passwords::try_new(&config).unwrap();
    let today = passwords(PasswordHashConfig::default());
    let before = PasswordHashConfig { memory_kib: 19_456, iterations: 2, lanes: 1, ..CHEAP };
    let imported = |rounds: u32| {
        format!("$pbkdf2-sha256$i={rounds}$AAECAwQFBgcICQoLDA0ODw$v1URzFrw0fnFmLelrowoVapIYISI")
    };
    let kinds = [
        today.nobodys_hash.clone(),
        passwords(before).nobodys_hash,
        imported(600_000),
        imported(29_000),
    ];
    let wrong = password("demo-Finitech-2");
    let least = |stored: &str, has_imported| {
        let turn = || {
            let began = worked();
            let verdict = compare_evenly(&today.argon2, &wrong, stored, has_imported).unwrap();
            assert_eq!(verdict, Verdict::Wrong);
            worked() - began
        };
        (0..5).map(|_| turn()).min().unwrap()
    };
    let all = kinds.each_ref().map(|stored| least(stored, true));
    let (shortest, longest) = (all.iter().min().unwrap(), all.iter().max().unwrap());
    // Left alone they differ by a factor of 4 and more.
    assert!(longest * 2 <= shortest * 3, "{all:?}");
    let without @ [of_today, of_before] = [&kinds[0], &kinds[1]].map(|one| least(one, false));
    assert!(of_today.max(of_before) * 2 <= of_today.min(of_before) * 3, "{without:?}");
}
