//! The node's interface and addresses over the daemon's life: made, kept by a task, given back.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::AppError;
use crate::config::Config;
use crate::node::holder::{self, PortTaken};
use crate::node::link::{self, Link, Thing};
use crate::node::repairs::Repairs;

/// Makes the interface and addresses that the configuration asks for; `None` where it asks for none.
///
/// # Errors
/// They cannot be made, or another process serves on one of them.
pub(super) async fn make_link(config: &Config) -> Result<Option<Link>, AppError> {
    let addresses: Vec<_> = config.listen.addresses.iter().map(SocketAddr::ip).collect();
    let Some(interface) = &config.node.interface else {
        tokio::spawn(show_leftovers(addresses));
        return Ok(None);
    };
    // A daemon that runs already keeps its interface: what we make we take away when we cannot go on.
    for &addr in &config.listen.addresses {
        if let Err(taken @ PortTaken::Taken { .. }) = holder::probe(addr) {
            return Err(taken.into());
        }
    }
    Ok(Some(link::ensure(interface, &addresses).await?))
}

/// Says what a daemon of before has left on a host that is none of our business now: an address without a
/// server behind it. One that another daemon serves on is its own.
async fn show_leftovers(listening: Vec<IpAddr>) {
    for thing in link::marked().await.unwrap_or_default() {
        let Thing::Address { ip, .. } = &thing else { continue };
        if !listening.contains(ip) && holder::server_on(*ip).is_none() {
            tracing::warn!(%thing, "left by an earlier run; `horizond node clean` takes it away");
        }
    }
}

/// The link, kept by a task.
pub(super) struct Kept {
    task: Option<JoinHandle<Link>>,
    stop: oneshot::Sender<()>,
}

impl Kept {
    /// Keeps it from here on; what is repaired is counted in `repairs`.
    pub fn start(link: Option<Link>, repairs: &Arc<Repairs>) -> Kept {
        let (stop, stopped) = oneshot::channel();
        let repairs = Arc::clone(repairs);
        let task =
            link.map(|link| tokio::spawn(async move { link::keep(link, &repairs, stopped).await }));
        Kept { task, stop }
    }

    /// Stops keeping it and gives it back.
    pub async fn end(self) -> Option<Link> {
        drop(self.stop);
        match self.task?.await {
            Ok(link) => Some(link),
            Err(error) => {
                tracing::error!(%error, "what keeps the interface has ended; `horizond node clean` takes it away");
                None
            }
        }
    }
}
