//! The addresses of this host, now and as they change.
//!
//! They decide who is `node` in an access list and which upstreams would be ourselves. The kernel's
//! notices are only a reason to look again: their contents are not read, so that a burst of them (a
//! node gains an address per Service in kube-proxy's IPVS mode) costs one look, and a lost one costs
//! nothing.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use rtnetlink::MulticastGroup;
use tokio::time::sleep;
use tracing::warn;

use super::NodeError;
use super::netlink::Netlink;
use super::notices::{Bursts, Notices};

pub use super::netlink::MAX_ADDRESSES;

/// Thousands of addresses that come in a row cost one look.
const BURSTS: Bursts =
    Bursts { quiet: Duration::from_millis(100), longest: Duration::from_secs(1), recheck: RECHECK };
/// Look this often where the kernel sends no notices.
const POLL: Duration = Duration::from_secs(10);
/// Look this often although no notice came, in case one was lost.
const RECHECK: Duration = Duration::from_secs(60);

/// This host's addresses: all interfaces, loopback among them, sorted, each once, at most
/// [`MAX_ADDRESSES`]. Needs no privilege. Cancel safe.
pub async fn own_addresses() -> Result<Vec<IpAddr>, NodeError> {
    let netlink = Netlink::open().map_err(|e| NodeError::new("open a netlink socket", e))?;
    let found = netlink.addresses().await;
    let found = found.map_err(|e| NodeError::new("read this host's addresses", e))?;
    let mut addresses: Vec<IpAddr> = found.into_iter().map(|address| address.ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Calls `on_change` with this host's addresses, first as they are now and then each time they have
/// changed; it sees a change within 1.1 s. Never returns.
///
/// Where the kernel sends no notices it looks every 10 s instead, and says so once. An error keeps
/// the last set. Cancel safe: dropping it closes its socket and stops the calls. `on_change` runs on
/// the calling task and must not block.
pub async fn watch_own(on_change: impl FnMut(Vec<IpAddr>)) -> Infallible {
    let groups = [MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let notices = match Notices::open(&groups) {
        Ok(notices) => Some(notices),
        Err(error) => {
            warn!(%error, poll = ?POLL, "no notices of address changes from the kernel; polling");
            None
        }
    };
    watch(notices, own_addresses, on_change).await
}

/// The loop of [`watch_own`]. Notices are subscribed to before the first look, so that no change
/// falls between.
async fn watch<F, L>(
    mut notices: Option<Notices>,
    mut look: L,
    mut on_change: impl FnMut(Vec<IpAddr>),
) -> Infallible
where
    L: FnMut() -> F,
    F: Future<Output = Result<Vec<IpAddr>, NodeError>>,
{
    let mut last: Option<Vec<IpAddr>> = None;
    let mut failing = false;
    loop {
        match look().await {
            Ok(now) => {
                failing = false;
                if last.as_ref() != Some(&now) {
                    last = Some(now.clone());
                    on_change(now);
                }
            }
            Err(error) => {
                if !failing {
                    warn!(%error, "this host's addresses cannot be read; keeping the last set");
                }
                failing = true;
            }
        }
        let waited = match &mut notices {
            // A failed look may be why a change was missed: do not wait for the next notice.
            Some(notices) if !failing => notices.changed(BURSTS).await,
            _ => {
                sleep(POLL).await;
                Ok(())
            }
        };
        if let Err(error) = waited {
            warn!(%error, poll = ?POLL, "notices of address changes have stopped; polling");
            notices = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io;

    use tokio::time::timeout;

    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[tokio::test]
    async fn loopback_is_our_own() {
        let own = own_addresses().await.unwrap();
        assert!(own.contains(&ip("127.0.0.1")), "{own:?}");
        assert!(own.is_sorted());
    }

    #[tokio::test(start_paused = true)]
    async fn polling_reports_changes_and_only_changes() {
        let (one, two) = (vec![ip("127.0.0.1")], vec![ip("127.0.0.1"), ip("169.254.20.10")]);
        let looks = RefCell::new(VecDeque::from([
            Ok(one.clone()),
            Ok(one.clone()),
            Err(()),
            Ok(one.clone()),
            Ok(two.clone()),
        ]));
        let seen = RefCell::new(Vec::new());
        let look = || {
            let next = looks.borrow_mut().pop_front().unwrap_or_else(|| Ok(two.clone()));
            async move { next.map_err(|()| NodeError::new("look", io::ErrorKind::TimedOut.into())) }
        };
        let watching = watch(None, look, |now| seen.borrow_mut().push(now));
        assert!(timeout(POLL * 10, watching).await.is_err());
        assert!(looks.borrow().is_empty());
        assert_eq!(*seen.borrow(), [one, two.clone()]);
    }
}
