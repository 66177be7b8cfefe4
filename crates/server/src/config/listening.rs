//! How the program is reached: its addresses, its certificate, the proxies in front.

use super::Environment;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use web::Network;

/// The HTTP server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Where to listen.
    pub(crate) address: SocketAddr,
    /// The longest a request may take.
    pub(crate) request_timeout_seconds: u64,
    /// The largest body of a request.
    pub(crate) body_bytes_max: usize,
    /// How long a connection may be without a request, or take to tell what it asks for.
    pub(crate) idle_timeout_seconds: u64,
    /// How long requests in flight may go on after a signal to stop.
    pub(crate) drain_timeout_seconds: u64,
    /// Networks (CIDR) of the proxies in front.
    pub(crate) trusted_proxies: Vec<String>,
}

/// HTTPS in this process. Production needs it, or a proxy in front that ends TLS.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate and those that lead to its root, in PEM.
    pub(crate) certificate_file: Option<PathBuf>,
    /// Its private key, in PEM.
    pub(crate) key_file: Option<PathBuf>,
    /// Where to listen for plain HTTP, to lead people to HTTPS.
    pub(crate) redirect_address: Option<SocketAddr>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            request_timeout_seconds: 30,
            body_bytes_max: 1_048_576,
            idle_timeout_seconds: 75,
            drain_timeout_seconds: 30,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Tls {
    /// The files of the certificate and of its key, if HTTPS is wanted.
    pub(crate) fn files(&self) -> Option<(&Path, &Path)> {
        self.certificate_file.as_deref().zip(self.key_file.as_deref())
    }
}

/// What keeps the program from starting with these settings.
pub(super) fn refusals(server: &Server, tls: &Tls, environment: Environment) -> Vec<String> {
    let mut refusals = Vec::new();
    for text in &server.trusted_proxies {
        match text.parse::<Network>() {
            Err(_) => refusals.push(format!(
                "server.trusted_proxies has \"{text}\", which is not a network such as 10.0.0.0/8 or \
                 fd00::/8"
            )),
            Ok(network) if network.is_everybody() && environment == Environment::Production => {
                refusals.push(format!(
                    "server.trusted_proxies has \"{text}\", which believes anybody; name the networks \
                     of the proxies alone"
                ));
            }
            Ok(_) => {}
        }
    }
    if tls.certificate_file.is_some() != tls.key_file.is_some() {
        refusals.push(
            "tls.certificate_file and tls.key_file belong together; set both or neither".to_owned(),
        );
    }
    if tls.redirect_address.is_some() && tls.files().is_none() {
        refusals.push(
            "tls.redirect_address leads to HTTPS, which is not served; set tls.certificate_file and \
             tls.key_file"
                .to_owned(),
        );
    }
    match environment {
        Environment::Production => {
            if tls.files().is_none() && server.trusted_proxies.is_empty() {
                refusals.push(
                    "nothing encrypts; set tls.certificate_file and tls.key_file, or put a proxy that \
                     ends TLS in front and name its network in server.trusted_proxies"
                        .to_owned(),
                );
            }
        }
        Environment::Development => {
            let addresses = [Some(server.address), tls.redirect_address].into_iter().flatten();
            for address in addresses.filter(|address| !address.ip().is_loopback()) {
                refusals.push(format!(
                    "Development listens on loopback addresses only, not on {address}; set \
                     environment = \"Production\" to serve others"
                ));
            }
        }
    }
    refusals
}
