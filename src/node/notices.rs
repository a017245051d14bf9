//! The kernel's notices that links or addresses have changed.
//!
//! They are only a reason to look again: their contents are not read, so that a burst costs one look,
//! and a lost one costs no more than the wait for the next regular look.

use std::io;
use std::time::Duration;

use rtnetlink::MulticastGroup;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use tokio::time::{Instant, sleep_until, timeout};

/// When notices are taken for one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bursts {
    /// After a notice, look once none came for this long ...
    pub quiet: Duration,
    /// ... or this long after the first, if they keep coming.
    pub longest: Duration,
    /// Look this often although no notice came, in case one was lost.
    pub recheck: Duration,
}

/// A socket in some of the kernel's groups, in the network namespace of the thread that opened it.
pub(super) struct Notices(TokioSocket);

impl Notices {
    /// Subscribes. Must run inside a tokio runtime with I/O and time; the groups are among the first 32.
    pub fn open(groups: &[MulticastGroup]) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let mask = groups.iter().fold(0, |mask, group| mask | 1 << (*group as u32 - 1));
        socket.socket_mut().bind(&SocketAddr::new(0, mask))?;
        Ok(Self(socket))
    }

    /// Waits for a notice and for the burst around it to end; at most [`Bursts::recheck`]. Cancel
    /// safe, but that a notice which has come is forgotten.
    pub async fn changed(&mut self, bursts: Bursts) -> io::Result<()> {
        match timeout(bursts.recheck, self.notice()).await {
            Err(_) => return Ok(()),
            Ok(first) => first?,
        }
        let end = Instant::now() + bursts.longest;
        loop {
            tokio::select! {
                () = sleep_until(end) => return Ok(()),
                more = timeout(bursts.quiet, self.notice()) => match more {
                    Err(_) => return Ok(()),
                    Ok(notice) => notice?,
                },
            }
        }
    }

    /// One notice. ENOBUFS says that some were dropped, which is a notice too.
    async fn notice(&mut self) -> io::Result<()> {
        match self.0.recv_from_full().await {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            Err(e) => Err(e),
        }
    }
}
