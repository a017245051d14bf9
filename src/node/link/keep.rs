//! Keeps a link as it was made: looks at it every minute, and at once when the kernel says that
//! something changed.
//!
//! Sockets that are bound to an address outlive its loss, so all is well as soon as it is back. Whoever
//! removes it again and again meets a growing pause, never a loop that runs as fast as he does.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use rtnetlink::MulticastGroup;
use tokio::time::sleep;
use tracing::{error, info, warn};

use super::Link;
use super::mend::Repaired;
use crate::node::NodeError;
use crate::node::netlink::Netlink;
use crate::node::notices::{Bursts, Notices};
use crate::node::repairs::Repairs;
use crate::telemetry::logs::Every;

/// Every pod that comes and goes makes notices too: no more than some looks a second.
const BURSTS: Bursts = Bursts {
    quiet: Duration::from_millis(10),
    longest: Duration::from_millis(100),
    recheck: Duration::from_secs(60),
};
/// The least time between two looks.
const APART: Duration = Duration::from_millis(100);
/// Look this often where the kernel sends no notices, or refused a repair.
const POLL: Duration = Duration::from_secs(10);
/// The pause after a repair, if there was none for [`CALM`] before; it doubles ...
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CALM: Duration = Duration::from_secs(60);
/// How often the log hears of repairs that fail.
const COMPLAIN: Duration = Duration::from_secs(60);

/// Keeps `link` until `stop` is done, then gives it back. What it repairs it counts in `repairs`.
pub async fn keep(mut link: Link, repairs: &Repairs, stop: impl Future) -> Link {
    let mut stop = pin!(stop);
    let mut keeper = Keeper::new();
    loop {
        // A look is never dropped halfway: `link` has to know of all that was made.
        let pause = keeper.look(&mut link, repairs).await;
        tokio::select! {
            biased;
            _ = &mut stop => return link,
            () = keeper.wait(pause) => {}
        }
    }
}

struct Keeper {
    notices: Option<Notices>,
    pace: Pace,
    failing: bool,
    complaints: Every,
}

impl Keeper {
    fn new() -> Self {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let notices = Notices::open(&groups);
        if let Err(error) = &notices {
            warn!(%error, poll = ?POLL, "no notices of changed links from the kernel; polling");
        }
        let (pace, complaints) = (Pace::default(), Every::new(COMPLAIN));
        Self { notices: notices.ok(), pace, failing: false, complaints }
    }

    /// Looks once, repairs what is amiss, and says how long to wait at least before the next look.
    async fn look(&mut self, link: &mut Link, repairs: &Repairs) -> Duration {
        let (repaired, result) = match Netlink::open() {
            Ok(netlink) => link.mend(&netlink).await,
            Err(e) => (Repaired::default(), Err(NodeError::new("open a netlink socket", e))),
        };
        repairs.interface.add(repaired.interface);
        repairs.up.add(repaired.up);
        repairs.addresses.add(repaired.addresses);
        if self.failing && result.is_ok() {
            info!(interface = link.interface(), "the interface and its addresses are whole again");
        }
        self.failing = result.is_err();
        if let Err(error) = result {
            repairs.link_failures.add(1);
            if let Some(held_back) = self.complaints.allow(Instant::now()) {
                error!(%error, held_back, "cannot keep the interface and its addresses");
            }
        }
        if repaired == Repaired::default() { APART } else { self.pace.pause(Instant::now()) }
    }

    /// Waits for `pause`, and then for a reason to look again.
    async fn wait(&mut self, pause: Duration) {
        sleep(pause).await;
        let waited = match &mut self.notices {
            Some(notices) if self.failing => {
                tokio::select! {
                    waited = notices.changed(BURSTS) => waited,
                    () = sleep(POLL) => Ok(()),
                }
            }
            Some(notices) => notices.changed(BURSTS).await,
            None => {
                sleep(POLL).await;
                Ok(())
            }
        };
        if let Err(error) = waited {
            warn!(%error, poll = ?POLL, "notices of changed links have stopped; polling");
            self.notices = None;
        }
    }
}

/// How long to hold off after a repair.
#[derive(Debug, Default)]
struct Pace {
    /// When the last repair was, and the pause after it.
    last: Option<(Instant, Duration)>,
}

impl Pace {
    /// The pause after a repair at `now`.
    fn pause(&mut self, now: Instant) -> Duration {
        let pause = match self.last {
            Some((then, pause)) if now.duration_since(then) < CALM => {
                (pause * 2).min(LONGEST_PAUSE)
            }
            _ => FIRST_PAUSE,
        };
        self.last = Some((now, pause));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_repairs_go_on_and_are_short_again_after_a_calm() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let pause = pace.pause(now);
            pauses.push(pause.as_millis());
            now += pause + Duration::from_secs(1);
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(pace.pause(now + CALM), FIRST_PAUSE);
    }
}
