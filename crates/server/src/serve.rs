//! Serving until told to stop.

use crate::certificate::Certificate;
use crate::config::{Config, Environment};
use crate::connections::Connections;
use crate::stores::Stores;
use crate::{App, demo};
use anyhow::Context;
use axum::Router;
use ports::{SystemClock, SystemIds};
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use web::BrowserPolicy;

/// Serves until SIGINT or SIGTERM, then lets requests in flight finish.
pub(crate) async fn serve(config: &Config, with_demo: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let (stores, certificate) = open_safely(config).await?;
    // Before anything is written: a second server on the same folder or address stops here.
    let _folder = lock_data_dir(config)?;
    let listener = listen(config.server.address).await?;
    let redirecting = match config.tls.redirect_address {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let app = App::start(config, stores, certificate.clone()).await?;
    let wants_demo = with_demo && config.environment == Environment::Development;
    let has_demo = wants_demo && demo::ensure(&app).await.context("cannot make the demo world")?;
    // Whoever reads that the server is ready may stop it at once.
    let signal = stop_signal().context("cannot wait for signals")?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    let address = listener.local_addr()?;
    let redirected = redirecting.as_ref().map(TcpListener::local_addr).transpose()?;
    announce(&format!("{scheme}://{address}"), redirected, started.elapsed(), has_demo)?;

    let stop = CancellationToken::new();
    let idle_max = Duration::from_secs(config.server.idle_timeout_seconds);
    let mut ports = JoinSet::new();
    if let Some(listener) = redirecting {
        let router = redirect(listener.local_addr()?, address);
        let connections = Connections { router, tls: None, idle_max };
        ports.spawn(connections.serve(listener, stop.clone()));
    }
    let tls = certificate.as_ref().map(Certificate::acceptor).transpose()?;
    let connections = Connections { router: app.router(), tls, idle_max };
    ports.spawn(connections.serve(listener, stop.clone()));
    // Ends when this function does.
    let mut watching = JoinSet::new();
    if let Some(certificate) = certificate {
        watching.spawn(certificate.keep_fresh(Arc::new(SystemClock)));
    }

    signal.await;
    tracing::info!("stopping: finishing requests in flight");
    stop.cancel();
    let drain = Duration::from_secs(config.server.drain_timeout_seconds);
    if tokio::time::timeout(drain, ports.join_all()).await.is_err() {
        tracing::warn!("requests in flight were cut off");
    }
    app.shut_down().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the databases and the certificate, or says everything that is wrong at once, so that an operator
/// need not find it out one by one. Production does not migrate by itself: that is an operator's decision.
async fn open_safely(config: &Config) -> anyhow::Result<(Stores, Option<Arc<Certificate>>)> {
    let mut refusals = config.refusals();
    let opened = config.tls.files().map(|(chain, key)| Certificate::open(chain, key)).transpose();
    if let Err(error) = &opened {
        refusals.push(format!("{error:#}"));
    }
    let refuse = |refusals: Vec<String>| {
        anyhow::anyhow!("refusing to start:\n  - {}", refusals.join("\n  - "))
    };
    // What must not be connected to is not asked for its migrations either.
    if !config.database_refusals().is_empty() {
        return Err(refuse(refusals));
    }
    let stores = Stores::open(config).await?;
    if config.environment == Environment::Production {
        let missing = stores.missing_migrations().await?;
        if !missing.is_empty() {
            let missing = missing.join(", ");
            refusals.push(format!("the database lacks {missing}; run: finitech migrate"));
        }
    }
    match opened {
        Ok(certificate) if refusals.is_empty() => Ok((stores, certificate.map(Arc::new))),
        _ => Err(refuse(refusals)),
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another server running?"))
}

/// What answers on the port of plain HTTP beside that of HTTPS.
fn redirect(from: SocketAddr, to: SocketAddr) -> Router {
    let router = web::redirect_to_https(from.port(), to.port(), Arc::new(SystemIds));
    web::protect_browsers(router, BrowserPolicy::default())
}

/// An embedded database serves one process. The lock ends with the returned file, however that comes.
fn lock_data_dir(config: &Config) -> anyhow::Result<Option<File>> {
    if !config.is_embedded() {
        return Ok(None);
    }
    let path = config.data_dir.join("finitech.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    file.try_lock().with_context(|| {
        format!("another finitech serves {}; stop it first", config.data_dir.display())
    })?;
    Ok(Some(file))
}

fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Tells where the server is and how to begin, on standard output.
fn announce(
    base: &str,
    redirected: Option<SocketAddr>,
    took: Duration,
    has_demo: bool,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Finitech {} is ready on {base} after {} ms",
        env!("CARGO_PKG_VERSION"),
        took.as_millis()
    )?;
    writeln!(out, "  API documentation: {base}/docs")?;
    if let Some(redirected) = redirected {
        writeln!(out, "  Redirected from: http://{redirected}")?;
    }
    if has_demo {
        writeln!(out, "{}", demo::HOW_TO_SIGN_IN)?;
    } else {
        writeln!(out, "  Begin with: POST {base}/api/v1/auth/register")?;
    }
    Ok(out.flush()?)
}
