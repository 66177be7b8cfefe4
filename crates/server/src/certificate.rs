//! The certificate that this server shows: the newest one in its files that can be used.

use ::aws_lc_rs::digest::{SHA256, digest};
use anyhow::Context;
use kernel::{Clock, Timestamp};
use ports::read_private_file;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio_rustls::TlsAcceptor;
use x509_cert::der::Decode;

/// How often to look whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long before its end a certificate is spoken of.
const TELL_BEFORE: Duration = Duration::from_hours(14 * 24);
const TELL_EVERY: Duration = Duration::from_hours(24);

/// A certificate with its key, followed as their files change. Connections that are open keep what they
/// were opened with.
#[derive(Debug)]
pub(crate) struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    state: RwLock<State>,
}

/// What is known of a certificate that is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CertificateStatus {
    /// When it ends.
    pub(crate) expires_at: Timestamp,
    /// Whether it is what the files hold; else they hold something that cannot be used.
    pub(crate) is_newest: bool,
}

#[derive(Debug)]
struct State {
    served: Pair,
    /// What the files held when they were last looked at, whatever came of it.
    seen: Contents,
    is_newest: bool,
}

/// A digest of the files' contents, or why they could not be read.
type Contents = Result<Vec<u8>, String>;

#[derive(Clone, Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    expires_at: Timestamp,
}

impl Certificate {
    /// Reads the certificate, with those that lead to its root, and its key.
    pub(crate) fn open(chain_file: &Path, key_file: &Path) -> anyhow::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (chain, key) = read(chain_file, key_file)?;
        let served = Pair::parse(&chain, &key, &provider).with_context(|| {
            format!("{} and {} cannot be used", chain_file.display(), key_file.display())
        })?;
        let state = State { served, seen: Ok(fingerprint(&chain, &key)), is_newest: true };
        Ok(Self {
            chain_file: chain_file.to_owned(),
            key_file: key_file.to_owned(),
            provider,
            state: RwLock::new(state),
        })
    }

    /// Encrypts connections: TLS 1.3 and 1.2, HTTP/2 and HTTP/1.1.
    pub(crate) fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .context("cannot set up TLS")?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// What is served now.
    pub(crate) fn status(&self) -> CertificateStatus {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        CertificateStatus { expires_at: state.served.expires_at, is_newest: state.is_newest }
    }

    /// Looks after the files, for ever, and tells of the certificate's end beforehand.
    pub(crate) async fn keep_fresh(self: Arc<Self>, clock: Arc<dyn Clock>) {
        let mut told: Option<(Timestamp, Instant)> = None;
        loop {
            let expires_at = self.status().expires_at;
            let is_told = |(which, when): (Timestamp, Instant)| {
                which == expires_at && when.elapsed() < TELL_EVERY
            };
            if !told.is_some_and(is_told) {
                tell_end(expires_at, clock.now());
                told = Some((expires_at, Instant::now()));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            let (this, now) = (self.clone(), clock.now());
            if let Err(error) = tokio::task::spawn_blocking(move || this.refresh(now)).await {
                tracing::error!(%error, "the files of the certificate were not looked at");
            }
        }
    }

    /// Takes what the files hold if it is new and can be used; otherwise keeps what is served.
    fn refresh(&self, now: Timestamp) {
        let read = read(&self.chain_file, &self.key_file);
        let seen = match &read {
            Ok((chain, key)) => Ok(fingerprint(chain, key)),
            Err(error) => Err(format!("{error:#}")),
        };
        if self.state.read().unwrap_or_else(PoisonError::into_inner).seen == seen {
            return;
        }
        let pair = read.and_then(|(chain, key)| {
            let pair = Pair::parse(&chain, &key, &self.provider)?;
            anyhow::ensure!(pair.expires_at > now, "the certificate ended at {}", pair.expires_at);
            Ok(pair)
        });
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.seen = seen;
        state.is_newest = pair.is_ok();
        match pair {
            Ok(pair) => {
                tracing::info!(expires_at = %pair.expires_at, "a new certificate is served");
                state.served = pair;
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                served_until = %state.served.expires_at,
                "the files of the certificate changed and cannot be used; the one before goes on"
            ),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.state.read().unwrap_or_else(PoisonError::into_inner).served.key.clone())
    }
}

impl Pair {
    fn parse(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> anyhow::Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .context("the certificate is not in PEM")?;
        let first = chain.first().context("the file of the certificate holds none")?;
        let expires_at = end_of(first)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .context("the file of the key holds no private key")?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .context("the key is not that of the certificate")?;
        Ok(Self { key: Arc::new(key), expires_at })
    }
}

fn read(chain_file: &Path, key_file: &Path) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let chain = std::fs::read(chain_file)
        .with_context(|| format!("cannot read the certificate {}", chain_file.display()))?;
    Ok((chain, read_private_file(key_file)?))
}

fn fingerprint(chain: &[u8], key: &[u8]) -> Vec<u8> {
    let digests = [chain, key].map(|part| digest(&SHA256, part).as_ref().to_vec());
    digests.concat()
}

fn end_of(certificate: &CertificateDer<'_>) -> anyhow::Result<Timestamp> {
    let certificate =
        x509_cert::Certificate::from_der(certificate).context("the certificate cannot be read")?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Ok(Timestamp::EPOCH.plus(end))
}

/// How near a certificate's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Far,
    Near,
    Past,
}

impl End {
    fn of(expires_at: Timestamp, now: Timestamp) -> Self {
        if expires_at <= now {
            Self::Past
        } else if expires_at <= now.plus(TELL_BEFORE) {
            Self::Near
        } else {
            Self::Far
        }
    }
}

fn tell_end(expires_at: Timestamp, now: Timestamp) {
    match End::of(expires_at, now) {
        End::Far => {}
        End::Near => {
            tracing::warn!(%expires_at, "the certificate ends soon; put the next one into its files");
        }
        End::Past => {
            tracing::error!(%expires_at, "the certificate has ended: clients refuse this server");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_near_for_two_weeks() {
        let expires_at: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        for (now, end) in [
            ("2026-11-08T23:59:59Z", End::Far),
            ("2026-11-09T00:00:00Z", End::Near),
            ("2026-11-22T23:59:59Z", End::Near),
            ("2026-11-23T00:00:00Z", End::Past),
        ] {
            assert_eq!(End::of(expires_at, now.parse().unwrap()), end, "{now}");
        }
    }
}
