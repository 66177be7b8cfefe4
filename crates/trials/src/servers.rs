//! The servers that serve one place.

use crate::load::Fleet;
use crate::place::Place;
use crate::process::Server;

#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<Option<Server>>,
}

impl Servers {
    /// The first makes the demo world, the others find it.
    pub(crate) async fn start(count: usize, place: &Place, fleet: &Fleet) -> anyhow::Result<Self> {
        let mut servers = Self { all: (0..count).map(|_| None).collect() };
        for number in 0..count {
            servers.serve(number, place, fleet).await?;
        }
        Ok(servers)
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// The process ids of those that run.
    pub(crate) fn pids(&self) -> anyhow::Result<Vec<u32>> {
        self.all.iter().flatten().map(Server::pid).collect()
    }

    /// None has ended by itself.
    pub(crate) fn must_live(&mut self) -> anyhow::Result<()> {
        for (number, server) in self.all.iter_mut().enumerate() {
            let has_ended = server.as_mut().map(Server::has_ended).transpose()?.unwrap_or(false);
            anyhow::ensure!(!has_ended, "server {number} has ended by itself");
        }
        Ok(())
    }

    pub(crate) async fn serve(
        &mut self,
        number: usize,
        place: &Place,
        fleet: &Fleet,
    ) -> anyhow::Result<()> {
        let server = place.serve(&format!("server-{number}")).await?;
        fleet.set(number, Some(server.base.clone()));
        if let Some(slot) = self.all.get_mut(number) {
            *slot = Some(server);
        }
        Ok(())
    }

    /// SIGKILL, to one that must still have been running.
    pub(crate) async fn kill(&mut self, number: usize, fleet: &Fleet) -> anyhow::Result<()> {
        if let Some(mut server) = self.all.get_mut(number).and_then(Option::take) {
            anyhow::ensure!(!server.has_ended()?, "server {number} had ended by itself");
            server.kill().await?;
        }
        fleet.set(number, None);
        Ok(())
    }

    /// SIGTERM, a good end, and a start.
    pub(crate) async fn restart(
        &mut self,
        number: usize,
        place: &Place,
        fleet: &Fleet,
    ) -> anyhow::Result<()> {
        fleet.set(number, None);
        if let Some(server) = self.all.get_mut(number).and_then(Option::take) {
            server.stop().await?;
        }
        self.serve(number, place, fleet).await
    }

    /// SIGTERM to all, which must end well.
    pub(crate) async fn stop(self, fleet: &Fleet) -> anyhow::Result<()> {
        for (number, server) in self.all.into_iter().enumerate() {
            fleet.set(number, None);
            if let Some(server) = server {
                server.stop().await?;
            }
        }
        Ok(())
    }
}
