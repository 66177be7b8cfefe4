//! Certificates, and a client that speaks TLS and looks at what it is shown.

use crate::support::Answer;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Issues certificates that its clients trust.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The certificate in PEM, as others keep those that they trust.
    pub(crate) pem: String,
}

/// A certificate for 127.0.0.1.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) der: Vec<u8>,
    /// As the API writes it.
    pub(crate) expires_at: String,
}

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// HTTP/2 over TLS 1.3.
    Http2,
    /// HTTP/1.1 over TLS 1.3.
    Http1,
    /// HTTP/2 over TLS 1.2.
    Tls12,
}

/// A connection with what the server showed.
pub(crate) struct Connection {
    sender: Sender,
    address: SocketAddr,
    pub(crate) certificate: Vec<u8>,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    /// One that ends at the beginning of a year.
    pub(crate) fn issue(&self, until: i32) -> Issued {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().to_vec(),
            expires_at: format!("{until}-01-01T00:00:00Z"),
        }
    }
}

/// Connects, if the server shows a certificate of the authority.
pub(crate) async fn connect(
    authority: &Authority,
    address: SocketAddr,
    way: Way,
) -> Result<Connection, String> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let version = if way == Way::Tls12 { &TLS12 } else { &TLS13 };
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let protocol: &[u8] = if way == Way::Http1 { b"http/1.1" } else { b"h2" };
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let name = ServerName::from(address.ip());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let (_, session) = stream.get_ref();
    assert_eq!(session.alpn_protocol(), Some(protocol));
    assert_eq!(session.protocol_version(), Some(version.version));
    let certificate = session.peer_certificates().unwrap()[0].to_vec();
    let io = TokioIo::new(stream);
    let sender = if way == Way::Http1 {
        let (sender, connection) = http1::handshake(io).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Sender::Http1(sender)
    } else {
        let executor = TokioExecutor::new();
        let (sender, connection) =
            http2::handshake(executor, io).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Sender::Http2(sender)
    };
    Ok(Connection { sender, address, certificate })
}

impl Connection {
    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let body = Full::from(body.map(Value::to_string).unwrap_or_default());
        let request = Request::builder().method(method).header("content-type", "application/json");
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", self.address.to_string());
                sender.ready().await.map_err(|error| error.to_string())?;
                sender.send_request(request.body(body).unwrap()).await
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.address));
                sender.send_request(request.body(body).unwrap()).await
            }
        };
        Answer::read(response.map_err(|error| error.to_string())?).await
    }
}
