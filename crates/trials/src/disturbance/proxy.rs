//! A connection to PostgreSQL that can be cut in the middle of a commit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The database never hears of the COMMIT.
    BeforeCommit = 1,
    /// The database commits, and nobody hears of it.
    AfterCommit = 2,
}

/// Stands between the program and PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The next COMMIT of postings is cut so; zero is not at all.
    armed: AtomicU8,
    /// Nothing gets through: connections end at once, old and new.
    refuses: watch::Sender<bool>,
    cuts: [AtomicU32; 2],
}

/// How a group of postings begins; cursors of events and checkpoints, which nobody waits for, do otherwise.
const BEGIN: &[u8] = b"begin isolation level read committed\0";

/// As sqlx sends them: simple queries.
const COMMIT: &[u8] = b"COMMIT\0";
const ROLLBACK: &[u8] = b"ROLLBACK\0";

impl Proxy {
    /// Listens on a free port of 127.0.0.1, until the runtime ends.
    pub(crate) async fn start(upstream_port: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let proxy = Self { port: listener.local_addr()?.port(), state: Arc::default() };
        let (state, upstream) =
            (proxy.state.clone(), SocketAddr::from(([127, 0, 0, 1], upstream_port)));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = state.clone();
                // However it ends, both ends notice.
                tokio::spawn(async move { drop(relay(client, upstream, &state).await) });
            }
        });
        Ok(proxy)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the next connection that commits postings.
    pub(crate) fn arm(&self, cut: Cut) {
        self.state.armed.store(cut as u8, Ordering::SeqCst);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.state.armed.load(Ordering::SeqCst) != 0
    }

    /// Whether nothing gets through.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.state.refuses.send_replace(refuses);
    }

    /// How often connections were cut before and after a commit.
    pub(crate) fn cuts(&self) -> (u32, u32) {
        let [before, after] = &self.state.cuts;
        (before.load(Ordering::SeqCst), after.load(Ordering::SeqCst))
    }
}

async fn is_refused(refuses: &mut watch::Receiver<bool>) {
    // An error means that the proxy is gone, and so is whom it served.
    drop(refuses.wait_for(|refuses| *refuses).await);
}

async fn relay(mut client: TcpStream, upstream: SocketAddr, state: &State) -> std::io::Result<()> {
    let mut refuses = state.refuses.subscribe();
    if *refuses.borrow() {
        return Ok(());
    }
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 65_536], vec![0; 65_536]);
    let mut posts = false;
    loop {
        tokio::select! {
            biased;
            // Whatever is under way between the two ends here, before anything else is looked at.
            () = is_refused(&mut refuses) => return Ok(()),
            read = client.read(&mut asked) => {
                let bytes = asked.get(..read?).unwrap_or_default();
                if bytes.is_empty() {
                    return Ok(());
                }
                let has = |query: &[u8]| bytes.windows(query.len()).any(|window| window == query);
                posts = posts || has(BEGIN);
                let commits = has(COMMIT);
                let cut = if commits && posts { state.armed.swap(0, Ordering::SeqCst) } else { 0 };
                posts = posts && !commits && !has(ROLLBACK);
                if cut == Cut::BeforeCommit as u8 {
                    state.cuts[0].fetch_add(1, Ordering::SeqCst);
                    return Ok(());
                }
                server.write_all(bytes).await?;
                if cut == Cut::AfterCommit as u8 {
                    // The answer to the COMMIT: it is durable, and the client never learns of it.
                    if server.read(&mut answered).await? > 0 {
                        state.cuts[1].fetch_add(1, Ordering::SeqCst);
                    }
                    return Ok(());
                }
            }
            read = server.read(&mut answered) => {
                let bytes = answered.get(..read?).unwrap_or_default();
                if bytes.is_empty() {
                    return Ok(());
                }
                client.write_all(bytes).await?;
            }
        }
    }
}
