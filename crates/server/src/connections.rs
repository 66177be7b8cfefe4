//! Accepting connections, encrypted or not, until told to stop.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use web::OverTls;

/// What answers on a port.
#[derive(Clone)]
pub(crate) struct Connections {
    /// What is answered.
    pub(crate) router: Router,
    /// What decrypts, on a port of HTTPS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// How long a connection may be without a request, or take to tell what it asks for.
    pub(crate) idle_max: Duration,
}

/// How long a client may take to agree on keys.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How long a client of HTTP/2 may be silent after it was asked whether it is there.
const PING_ANSWER_MAX: Duration = Duration::from_secs(20);
/// What every TLS connection begins with (RFC 8446 section 5.1), and no request of HTTP.
const TLS_HANDSHAKE: u8 = 22;
const HTTP_2: &[u8] = b"h2";

type Stream = Either<TlsStream<TcpStream>, TcpStream>;

impl Connections {
    /// Accepts connections until `stop`, then returns when the requests in flight are answered.
    pub(crate) async fn serve(self, mut listener: TcpListener, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        loop {
            let (stream, peer) = tokio::select! {
                accepted = Listener::accept(&mut listener) => accepted,
                () = stop.cancelled() => break,
            };
            let (this, stop) = (self.clone(), stop.clone());
            tasks.spawn(async move {
                if let Err(error) = this.answer(stream, peer, stop).await {
                    tracing::debug!(error, "a connection broke off");
                }
            });
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    /// Answers the requests of one connection.
    async fn answer(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        stop: CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        // Answers are small and must not wait to be joined with others.
        stream.set_nodelay(true)?;
        let stream = tokio::select! {
            opened = tokio::time::timeout(HANDSHAKE_MAX, self.open(stream)) => opened??,
            () = stop.cancelled() => return Ok(()),
        };
        let (is_encrypted, is_http_2) = match &stream {
            Either::Left(tls) => (true, tls.get_ref().1.alpn_protocol() == Some(HTTP_2)),
            Either::Right(_) => (false, false),
        };
        let router = self.router;
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            if is_encrypted {
                request.extensions_mut().insert(OverTls);
            }
            router.clone().oneshot(request)
        });
        let mut server = auto::Builder::new(TokioExecutor::new());
        server.http1().timer(TokioTimer::new()).header_read_timeout(self.idle_max);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.idle_max)
            .keep_alive_timeout(PING_ANSWER_MAX);
        let server = if is_http_2 { server.http2_only() } else { server.http1_only() };
        let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    async fn open(&self, stream: TcpStream) -> io::Result<Stream> {
        let Some(tls) = &self.tls else { return Ok(Either::Right(stream)) };
        let mut first = [0];
        stream.peek(&mut first).await?;
        // Whoever speaks plain HTTP here is told so in words that they understand.
        if first[0] != TLS_HANDSHAKE {
            return Ok(Either::Right(stream));
        }
        Ok(Either::Left(tls.accept(stream).await?))
    }
}
