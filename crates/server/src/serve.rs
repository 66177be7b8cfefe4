//! Serving until told to stop.

use crate::config::{Config, Environment};
use crate::stores::Stores;
use crate::{App, demo};
use anyhow::Context;
use axum::serve::ListenerExt;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Serves until SIGINT or SIGTERM, then lets requests in flight finish.
pub(crate) async fn serve(config: &Config, with_demo: bool) -> anyhow::Result<()> {
    let started = Instant::now();
    let stores = Stores::open(config).await?;
    refuse_unsafe(config, &stores).await?;
    // Before anything is written: a second server on the same folder or address stops here.
    let _folder = lock_data_dir(config)?;
    let address = config.server.address;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another server running?"))?;
    let app = App::start(config, stores).await?;
    let wants_demo = with_demo && config.environment == Environment::Development;
    let has_demo = wants_demo && demo::ensure(&app).await.context("cannot make the demo world")?;
    // Whoever reads that the server is ready may stop it at once.
    let stop = stop_signal().context("cannot wait for signals")?;
    announce(&listener, started.elapsed(), has_demo)?;
    let listener = listener.tap_io(|stream| {
        // Answers are small and must not wait to be joined with others.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's algorithm");
        }
    });
    let (stopping, stopped) = oneshot::channel();
    let signal = async {
        stop.await;
        tracing::info!("stopping: finishing requests in flight");
        // The receiver goes away only together with the server.
        stopping.send(()).unwrap_or_default();
    };
    let service = app.router().into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(signal);
    let drain = Duration::from_secs(config.server.drain_timeout_seconds);
    tokio::select! {
        ended = server.into_future() => ended.context("the server failed")?,
        () = overdue(stopped, drain) => tracing::warn!("requests in flight were cut off"),
    }
    app.shut_down().await;
    tracing::info!("stopped");
    Ok(())
}

/// Says everything that is wrong at once, so that an operator need not find it out one by one. Production
/// does not migrate by itself: that is an operator's decision.
async fn refuse_unsafe(config: &Config, stores: &Stores) -> anyhow::Result<()> {
    let mut refusals = config.refusals();
    if config.environment == Environment::Production {
        let missing = stores.missing_migrations().await?;
        if !missing.is_empty() {
            let missing = missing.join(", ");
            refusals.push(format!("the database lacks {missing}; run: finitech migrate"));
        }
    }
    anyhow::ensure!(refusals.is_empty(), "refusing to start:\n  - {}", refusals.join("\n  - "));
    Ok(())
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

/// Ends some time after the signal to stop.
async fn overdue(stopped: oneshot::Receiver<()>, drain: Duration) {
    match stopped.await {
        Ok(()) => tokio::time::sleep(drain).await,
        Err(_) => std::future::pending().await,
    }
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
fn announce(listener: &TcpListener, took: Duration, has_demo: bool) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Finitech {} is ready on http://{address} after {} ms",
        env!("CARGO_PKG_VERSION"),
        took.as_millis()
    )?;
    writeln!(out, "  API documentation: http://{address}/docs")?;
    if has_demo {
        writeln!(out, "{}", demo::HOW_TO_SIGN_IN)?;
    } else {
        writeln!(out, "  Begin with: POST http://{address}/api/v1/auth/register")?;
    }
    Ok(out.flush()?)
}
