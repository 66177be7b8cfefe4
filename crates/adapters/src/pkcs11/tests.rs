//! Against SoftHSM, where `FINITECH_TEST_PKCS11_MODULE` names its library. A library is one for the whole
//! process and reads the environment, so each test runs in a process of its own, with a token of its own.

use super::*;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

const PIN: &str = "fedora-tulip-1";
const MODULE: &str = "FINITECH_TEST_PKCS11_MODULE";
/// Set in the process of one test: the folder of its token.
const FOLDER: &str = "FINITECH_TEST_PKCS11_FOLDER";

#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var(name).ok().map(PathBuf::from)
}

/// Runs the named test again, in a process with a token, where the body runs.
fn with_token<F: Future<Output = ()>>(test: &str, body: impl FnOnce(PathBuf) -> F) {
    let Some(module) = variable(MODULE) else {
        return eprintln!("skipped: {MODULE} is not set");
    };
    if let Some(folder) = variable(FOLDER) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(body(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::write(&conf, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    write_pin(folder.path(), PIN);
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "bank", "--so-pin", "12345678", "--pin", PIN])
        .arg("--module")
        .arg(&module)
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let name = format!("pkcs11::tests::{test}");
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}

fn write_pin(folder: &Path, pin: &str) {
    use std::io::Write;
    let path = folder.join("pin");
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    writeln!(file.unwrap(), "{pin}").unwrap();
}

fn keys(folder: &Path) -> Pkcs11Keys {
    labelled(folder, "finitech-signing")
}

fn labelled(folder: &Path, label: &str) -> Pkcs11Keys {
    Pkcs11Keys::new(Pkcs11Config {
        module: variable(MODULE).unwrap(),
        token_label: "bank".to_owned(),
        pin_file: folder.join("pin"),
        key_label: label.to_owned(),
        sessions_max: 2,
        key_size: RsaKeySize::Bits2048,
    })
}

async fn only_key(keys: &Pkcs11Keys) -> Arc<dyn Signer> {
    let mut signers = keys.load().await.unwrap();
    assert_eq!(signers.len(), 1);
    signers.remove(0)
}

fn verify(key: &RsaPublicKey, message: &[u8], signature: &[u8]) {
    let key = RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).unwrap();
}

fn told(error: &SigningKeysError) -> String {
    format!("{error}: {}", std::error::Error::source(error).unwrap())
}

#[test]
fn keys_are_made_in_the_token_and_never_leave_it() {
    with_token("keys_are_made_in_the_token_and_never_leave_it", async |folder| {
        let keys = keys(&folder);
        assert!(keys.load().await.unwrap().is_empty());
        keys.generate(0).await.unwrap();
        keys.generate(0).await.unwrap();
        let first = only_key(&keys).await;
        assert_eq!(first.public_key().modulus.len(), 256);
        verify(first.public_key(), b"message", &first.sign(b"message").await.unwrap());

        let connection = &keys.0.connection;
        let attributes = connection
            .with_session(|open| {
                let template = connection.template(ObjectClass::PRIVATE_KEY, None);
                let object = open.session.find_objects(&template)?[0];
                let wanted = [
                    AttributeType::Sensitive,
                    AttributeType::AlwaysSensitive,
                    AttributeType::Extractable,
                    AttributeType::NeverExtractable,
                    AttributeType::PrivateExponent,
                ];
                Ok(open.session.get_attributes(object, &wanted)?)
            })
            .unwrap();
        let expected = [
            Attribute::Sensitive(true),
            Attribute::AlwaysSensitive(true),
            Attribute::Extractable(false),
            Attribute::NeverExtractable(true),
        ];
        assert_eq!(attributes, expected, "and no private exponent");

        keys.generate(1).await.unwrap();
        assert_eq!(keys.load().await.unwrap().len(), 2);
        keys.destroy(first.public_key()).await.unwrap();
        keys.destroy(first.public_key()).await.unwrap();
        let second = only_key(&keys).await;
        assert_ne!(second.public_key(), first.public_key());
        let gone = told(&first.sign(b"message").await.unwrap_err());
        assert!(gone.contains("not in the token"), "{gone}");
        verify(second.public_key(), b"message", &second.sign(b"message").await.unwrap());
        assert!(labelled(&folder, "others").load().await.unwrap().is_empty());
    });
}

#[test]
fn a_token_that_went_away_is_used_when_it_is_back() {
    with_token("a_token_that_went_away_is_used_when_it_is_back", async |folder| {
        let keys = keys(&folder);
        keys.generate(0).await.unwrap();
        let signer = only_key(&keys).await;
        let (there, away) = (folder.join("tokens"), folder.join("away"));
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            std::fs::rename(&there, &away).unwrap();
            for _ in 0..20 {
                let started = Instant::now();
                assert!(signer.sign(b"message").await.is_err());
                assert!(keys.load().await.is_err());
                assert!(started.elapsed() < Duration::from_secs(2));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::fs::rename(&away, &there).unwrap();
            tokio::time::sleep(Duration::from_millis(1_100)).await;
            verify(signer.public_key(), b"again", &signer.sign(b"again").await.unwrap());
            assert_eq!(only_key(&keys).await.public_key(), signer.public_key());
        }
    });
}

#[test]
fn a_wrong_pin_is_told_and_never_printed() {
    with_token("a_wrong_pin_is_told_and_never_printed", async |folder| {
        let keys = keys(&folder);
        write_pin(&folder, "not-the-pin");
        for _ in 0..3 {
            let refused = told(&keys.load().await.err().unwrap());
            assert!(refused.contains("refuses the PIN in"), "{refused}");
            assert!(!refused.contains("not-the-pin"), "{refused}");
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
        write_pin(&folder, PIN);
        assert!(keys.load().await.unwrap().is_empty());
        let missing = folder.join("nothing.so");
        let config = Pkcs11Config { module: missing, ..keys.0.connection.config().clone() };
        let refused = told(&Pkcs11Keys::new(config).load().await.err().unwrap());
        assert!(refused.contains("cannot be loaded as a PKCS#11 module"), "{refused}");
        let token_label = "another".to_owned();
        let config = Pkcs11Config { token_label, ..keys.0.connection.config().clone() };
        let refused = told(&Pkcs11Keys::new(config).load().await.err().unwrap());
        assert!(refused.contains("0 tokens are called \"another\""), "{refused}");
    });
}

#[test]
fn many_sign_at_once_through_few_sessions() {
    with_token("many_sign_at_once_through_few_sessions", async |folder| {
        let keys = keys(&folder);
        keys.generate(0).await.unwrap();
        let signer = only_key(&keys).await;
        let signing: Vec<_> = (0..100_u8)
            .map(|number| {
                let signer = signer.clone();
                tokio::spawn(async move { signer.sign(&[number]).await.unwrap() })
            })
            .collect();
        for (number, signature) in (0..100_u8).zip(signing) {
            verify(signer.public_key(), &[number], &signature.await.unwrap());
        }
        assert!(keys.0.connection.idle_sessions() <= 2);
    });
}

/// Keeps SoftHSM waiting: it locks its files, and so does this, in a process of its own.
const HOLD: &str = "
import fcntl, glob, sys
files = [open(name, 'r+b') for name in glob.glob(sys.argv[1] + '/*/*')]
for file in files: fcntl.lockf(file, fcntl.LOCK_EX)
print('held', flush=True)
sys.stdin.read()
";

#[test]
fn a_module_that_does_not_return_keeps_nobody_waiting() {
    with_token("a_module_that_does_not_return_keeps_nobody_waiting", async |folder| {
        let keys = keys(&folder);
        keys.generate(0).await.unwrap();
        let signer = only_key(&keys).await;
        let mut holder = Command::new("python3")
            .args(["-c", HOLD])
            .arg(folder.join("tokens"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = String::new();
        std::io::BufRead::read_line(
            &mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()),
            &mut held,
        )
        .unwrap();
        assert_eq!(held, "held\n");
        let started = Instant::now();
        let signing: Vec<_> = (0..20)
            .map(|_| {
                let signer = signer.clone();
                tokio::spawn(async move { signer.sign(b"message").await })
            })
            .collect();
        for one in signing {
            let refused = told(&one.await.unwrap().unwrap_err());
            assert!(refused.contains("did not answer in time"), "{refused}");
        }
        assert!(started.elapsed() < CALL_TIMEOUT * 2, "{:?}", started.elapsed());
        assert_eq!(keys.0.places.available_permits(), 0, "two calls wait, the others do not");
        drop(holder.stdin.take());
        assert!(holder.wait().unwrap().success());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        verify(signer.public_key(), b"again", &signer.sign(b"again").await.unwrap());
        assert_eq!(keys.0.places.available_permits(), 2);
    });
}
