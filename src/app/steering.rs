//! Keeps the node's nf_tables rules while the daemon serves, and says that it is alive while it is.
//!
//! One thread of its own: the kernel may hold a caller while other programs change rules, and no query
//! may wait for that. It beats only while each shard and the TCP thread answer a question that is sent to
//! their sockets, so that pods get their answers from the cluster's DNS when we are dead, stopped, stuck,
//! deaf, or refuse. Where it takes how long: [`steer::LIFETIME`] after the last beat where this thread is
//! gone as well, else the second missed beat, 650 ms after the last answer at most.
//!
//! The addresses that pods are led to cannot be asked from here while we are aside, because the same rules
//! lead the question away. The threads behind them are asked at the others; that they are this host's is
//! looked at.
//!
//! [`steer::LIFETIME`]: crate::node::nft::steer::LIFETIME

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cni::standin::Pair;
use crate::config::Config;
use crate::node::nft::NftError;
use crate::node::nft::steer::{Beat, LIFETIME, NodeTable, PULSE, Plan, retire_leftover};
use crate::node::repairs::Repairs;
use crate::pods::Redirected;
use crate::telemetry::logs::Every;
use crate::telemetry::stats::Stats;

mod overload;
mod question;
mod shards;
mod stream;
mod vitals;

use overload::Overload;
use shards::Shards;
use stream::Streams;
use vitals::{Found, Say, Vitals};

/// How often the rules are looked at, whether they are whole, although nobody has changed any.
const REPAIR: Duration = Duration::from_secs(60);
/// How often they are looked at, at most, where others change rules all the time.
const LOOK: Duration = Duration::from_secs(1);

/// The thread that keeps the rules.
pub(super) struct Steering {
    stop: Sender<()>,
    thread: JoinHandle<Option<NodeTable>>,
    stays: bool,
}

impl Steering {
    /// Makes the rules that the configuration asks for; `None` where it asks for none. To be called when
    /// the daemon answers. `shards` are the counters of each shard; what is repaired later is counted in
    /// `repairs`.
    ///
    /// # Errors
    /// The rules cannot be made: what the kernel said.
    pub fn start(
        config: &Config,
        shards: &[Arc<Stats>],
        repairs: Arc<Repairs>,
    ) -> Result<Option<Steering>, NftError> {
        let records = config.pods.records();
        let Some(wanted) = config.node.steering(&config.listen.addresses) else {
            forget_predecessor(config, &records);
            return Ok(None);
        };
        let stand_ins = wanted.stand_ins.iter().map(|(_, stand_in)| *stand_in);
        let ours: Vec<IpAddr> = stand_ins.chain(wanted.services.iter().copied()).collect();
        let inquiry = match ours.is_empty() {
            true => None,
            false => Some(Inquiry::new(&config.listen.addresses, ours, shards).map_err(failed)?),
        };
        let led = led(&records).unwrap_or_default();
        let plan = Plan::new(wanted.local, wanted.stand_ins, wanted.services)?;
        let table = NodeTable::install(plan.clone().leading(&led))?;
        let (stop, stopped) = channel();
        let followed = Followed { plan, records, repairs };
        let body = move || Keeper::new(table, inquiry, followed).run(&stopped);
        let thread = std::thread::Builder::new().name("steering".to_owned()).spawn(body);
        let thread = thread.map_err(failed)?;
        tracing::info!("steering: rules are in place");
        Ok(Some(Steering { stop, thread, stays: config.node.leave_on_exit }))
    }

    /// Whether the thread is gone, which it never is by itself but by a panic: then nobody says any more
    /// that we are alive, and all queries go around us.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Steps aside: new queries go around us from here on, and the rules stay as they are until
    /// [`Resting::end`].
    pub fn rest(self) -> Resting {
        drop(self.stop);
        Resting { table: self.thread.join().ok().flatten(), stays: self.stays }
    }
}

/// A daemon with another configuration may have been killed and have left its rules. Where we are not to
/// touch the node we do not.
fn forget_predecessor(config: &Config, records: &Path) {
    if config.node.interface.is_none() {
        return;
    }
    // Without knowing whom they lead the rules stay: they harm nobody.
    let Some(led) = led(records) else { return };
    match retire_leftover(&led) {
        Ok(true) if led.is_empty() => tracing::info!("rules of an earlier start are gone"),
        Ok(true) => tracing::info!("rules of an earlier start are gone, but what leads its pods"),
        Ok(false) => {}
        Err(error) => tracing::debug!(%error, "cannot look for rules of an earlier start"),
    }
}

/// Where pods of this node are redirected to, whoever told them; `None` where the records cannot be read.
fn led(records: &Path) -> Option<Vec<Pair>> {
    match Redirected::read(records) {
        Ok(found) => Some(found.pairs),
        Err(error) => {
            tracing::warn!(%error, "cannot see which pods are redirected");
            None
        }
    }
}

/// What the rules follow, beside being alive.
struct Followed {
    /// As the configuration has it.
    plan: Plan,
    /// The directory of the pods' records.
    records: PathBuf,
    repairs: Arc<Repairs>,
}

/// Rules whose daemon has stepped aside.
pub(super) struct Resting {
    table: Option<NodeTable>,
    stays: bool,
}

impl Resting {
    /// Takes the rules away, but for what pods that are redirected need to get answers at all.
    pub fn end(self) {
        let Some(table) = self.table.filter(|_| !self.stays) else { return };
        if let Err(error) = table.retire() {
            tracing::error!(%error, "cannot take the rules away");
        }
    }
}

struct Keeper {
    table: NodeTable,
    /// None where all that is led here always is.
    inquiry: Option<Inquiry>,
    followed: Followed,
    vitals: Vitals,
    /// When we last said that we are alive.
    said: Option<Instant>,
    warnings: Every,
    changes: Every,
}

impl Keeper {
    fn new(table: NodeTable, inquiry: Option<Inquiry>, followed: Followed) -> Keeper {
        let [warnings, changes] = [(); 2].map(|()| Every::new(Duration::from_secs(10)));
        Keeper { table, inquiry, followed, vitals: Vitals::new(), said: None, warnings, changes }
    }

    /// Beats until told to stop; then steps aside and gives the table back.
    fn run(mut self, stopped: &Receiver<()>) -> Option<NodeTable> {
        let (mut next_repair, mut next_look) = (Instant::now() + REPAIR, Instant::now());
        loop {
            let began = Instant::now();
            self.pulse();
            if began >= next_repair {
                (next_repair, next_look) = (began + REPAIR, began + LOOK);
                self.repair();
                self.follow_pods();
            } else if began >= next_look && self.is_touched() {
                next_look = began + LOOK;
                self.repair();
            }
            match stopped.recv_timeout(PULSE.saturating_sub(began.elapsed())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Err(error) = self.table.rest() {
            tracing::error!(%error, "cannot step aside");
        }
        Some(self.table)
    }

    fn pulse(&mut self) {
        let Some(inquiry) = &mut self.inquiry else { return };
        let (found, why) = match inquiry.ask() {
            Ok(()) => (Found::Answer, None),
            Err(unwell) if unwell.is_busy() => (Found::Busy, Some(unwell)),
            Err(unwell) => (Found::Miss, Some(unwell)),
        };
        if found == Found::Miss {
            self.followed.repairs.unanswered.add(1);
        }
        let say = self.vitals.hear(found);
        if let Some(error) = why {
            self.tell(found, say, &error);
        }
        let result = match say {
            Say::Alive | Say::Back => self.alive(say == Say::Back),
            Say::Nothing => Ok(Beat::Kept),
            Say::Aside => {
                self.said = None;
                self.table.rest().map(|()| Beat::Kept)
            }
        };
        match result {
            Ok(Beat::Kept) => {}
            Ok(Beat::Repaired) => {
                self.followed.repairs.rules.add(1);
                self.tell_repair("the rules were gone and are made again");
            }
            Err(error) => self.complain(&error),
        }
    }

    fn tell(&mut self, found: Found, say: Say, error: &Unwell) {
        match (found, say) {
            (_, Say::Aside) => tracing::error!(%error, "no answer from ourselves: stepping aside"),
            (Found::Busy, _) => {
                if let Some(held_back) = self.warnings.allow(Instant::now()) {
                    tracing::warn!(%error, held_back, "more questions than can be taken");
                }
            }
            _ => tracing::debug!(%error, "no answer from ourselves"),
        }
    }

    fn alive(&mut self, again: bool) -> Result<Beat, NftError> {
        let result = self.table.beat();
        let before = self.said.replace(Instant::now());
        if again {
            tracing::info!("answering again: queries come to us");
        } else if let Some(gap) = before.map(|before| before.elapsed())
            && gap > LIFETIME
        {
            let ms = gap.as_millis() as u64;
            tracing::warn!(ms, "no beat for so long: the rules led queries around us meanwhile");
        }
        result
    }

    fn repair(&mut self) {
        if self.table.is_whole().is_ok_and(|whole| whole) {
            return;
        }
        // What is too many may be a plugin's, which led a pod of another configuration just now.
        self.follow_pods();
        match self.table.repair() {
            Ok(false) => {}
            Ok(true) => {
                self.followed.repairs.rules.add(1);
                self.tell_repair("the rules were changed and are made again");
            }
            Err(error) => self.complain(&error),
        }
    }

    /// Another program may do it again and again.
    fn tell_repair(&mut self, what: &str) {
        if let Some(held_back) = self.changes.allow(Instant::now()) {
            tracing::warn!(held_back, "{what}");
        }
    }

    /// Whether others have changed rules, which may have been ours. Where that is not to be known, no: the
    /// next regular look says what is wrong.
    fn is_touched(&mut self) -> bool {
        self.table.is_touched().unwrap_or(false)
    }

    /// Pods may come that another configuration of the plugin redirects, and those of old go.
    fn follow_pods(&mut self) {
        let Some(led) = led(&self.followed.records) else { return };
        let plan = self.followed.plan.clone().leading(&led);
        if plan != *self.table.plan()
            && let Err(error) = self.table.change(plan)
        {
            self.complain(&error);
        }
    }

    fn complain(&mut self, error: &NftError) {
        self.followed.repairs.rules_failures.add(1);
        if let Some(held_back) = self.warnings.allow(Instant::now()) {
            tracing::error!(%error, held_back, "cannot keep the rules");
        }
    }
}

/// What shows that the daemon does not serve as it should.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("{0} is not an address of this host: {1}")]
    Address(IpAddr, io::Error),
    #[error(transparent)]
    Udp(#[from] shards::Missed),
    #[error(transparent)]
    Tcp(#[from] stream::Missed),
}

impl Unwell {
    /// Whether it serves all the same.
    fn is_busy(&self) -> bool {
        match self {
            Unwell::Address(..) => false,
            Unwell::Udp(missed) => missed.busy,
            Unwell::Tcp(missed) => missed.busy,
        }
    }
}

/// Asks the daemon's own sockets.
struct Inquiry {
    /// The addresses that pods are led to.
    led: Vec<IpAddr>,
    shards: Shards,
    streams: Streams,
    beats: usize,
}

impl Inquiry {
    fn new(listen: &[SocketAddr], led: Vec<IpAddr>, stats: &[Arc<Stats>]) -> io::Result<Inquiry> {
        let mut own = listen.to_vec();
        own.retain(|addr| !led.contains(&addr.ip()));
        let overload = Overload::new(own.clone(), stats.to_vec());
        let streams = Streams::new(&own);
        let shards = Shards::new(own, stats.len(), overload)?;
        Ok(Inquiry { led, shards, streams, beats: 0 })
    }

    fn ask(&mut self) -> Result<(), Unwell> {
        self.beats = self.beats.wrapping_add(1);
        for &ip in &self.led {
            UdpSocket::bind((ip, 0)).map_err(|error| Unwell::Address(ip, error))?;
        }
        self.shards.ask(self.beats)?;
        self.streams.ask(self.beats)?;
        Ok(())
    }
}

fn failed(source: io::Error) -> NftError {
    let what = "start the thread that keeps the rules".to_owned();
    NftError::Failed { what, source, text: None }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Else the daemon would go on with nobody led to it.
    #[test]
    fn a_thread_that_has_ended_is_seen() {
        let (stop, stopped) = channel::<()>();
        let (go, gone) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = gone.recv();
            drop(stopped);
            std::panic::resume_unwind(Box::new("as a panic does, without its message"))
        });
        let steering = Steering { stop, thread, stays: false };
        assert!(!steering.has_ended());
        drop(go);
        while steering.stop.send(()).is_ok() || !steering.has_ended() {
            std::thread::yield_now();
        }
        assert!(steering.rest().table.is_none());
    }

    /// Pods that are led to an address that is gone would get no answer, whatever the shards do.
    #[test]
    fn an_address_that_is_not_this_hosts_is_a_miss() {
        let ask = |led: &str| Inquiry::new(&[], vec![led.parse().unwrap()], &[]).unwrap().ask();
        assert!(ask("127.0.0.53").is_ok());
        let unwell = ask("192.0.2.1").unwrap_err();
        assert!(matches!(unwell, Unwell::Address(..)) && !unwell.is_busy(), "{unwell}");
    }
}
