//! Faults of the network between the server and PostgreSQL.

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::{Cure, Scene, Wound};
use crate::torture::fault::Fault;
use crate::torture::proxy::{Direction, Proxy, Traffic};

/// A COPY of a second's reports is longer than this.
const COPY_BYTES_MAX: usize = 40_000;

impl Scene<'_> {
    fn proxy(&self) -> Result<&Proxy> {
        self.world.proxy.as_ref().context("there is no proxy")
    }

    /// Lets everything pass again, where there is a proxy.
    pub(super) fn let_flow(&self) -> Result<()> {
        if let Some(proxy) = &self.world.proxy {
            proxy.set(Traffic::Flow);
        }
        Ok(())
    }

    pub(super) async fn break_network(&mut self, fault: Fault) -> Result<Wound> {
        let after = self.chance.below(COPY_BYTES_MAX);
        let per_s = 2_000 + self.chance.below(100_000);
        let direction = if self.chance.coin() { Direction::Up } else { Direction::Down };
        let proxy = self.proxy()?;
        let before = proxy.broken();
        let is_broken = async |scene: &mut Self| {
            let broken = scene.proxy()?.broken() - before;
            Ok((broken > 0).then_some(broken))
        };
        let evidence = match fault {
            Fault::NetworkSlow => {
                proxy.set(Traffic::Slow(per_s));
                format!("{per_s} bytes/s")
            }
            Fault::NetworkStall => {
                proxy.set(Traffic::Stall);
                "nothing passes".to_owned()
            }
            Fault::NetworkHalfClose => {
                proxy.half_close(direction);
                format!("{direction:?} is closed")
            }
            Fault::NetworkCut => {
                proxy.set(Traffic::Refuse);
                proxy.cut();
                // The server may not run at the moment: one of ours meets the same.
                let mut probe =
                    TcpStream::connect(proxy.address()).await.context("reach the proxy")?;
                let met = probe.read(&mut [0]).await;
                ensure!(!matches!(met, Ok(1..)), "the proxy lets a connection through");
                let broken = self.until("connections are cut", is_broken).await?;
                format!("{broken} connections were cut or refused")
            }
            Fault::CopyCut => {
                proxy.set(Traffic::CutInCopy(after));
                self.until("a COPY is cut", is_broken).await?;
                self.let_flow()?;
                format!("a COPY was cut after {after} bytes")
            }
            _ => {
                proxy.set(Traffic::CutAtCommit);
                self.until("a commit is left unanswered", is_broken).await?;
                self.let_flow()?;
                "a commit was left unanswered".to_owned()
            }
        };
        Ok(Wound::new(evidence, Cure::Flow))
    }
}
