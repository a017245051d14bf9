//! Keeps the node's nf_tables rules while the daemon serves, and says that it is alive while it is.
//!
//! One thread of its own: the kernel may hold a caller while other programs change rules, and no query
//! may wait for that. It beats only while a question to the daemon's own sockets is answered, so that
//! pods get their answers from the cluster's DNS when we are dead, stopped, or deaf.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::cni::standin::Pair;
use crate::config::Config;
use crate::node::nft::NftError;
use crate::node::nft::steer::{Beat, NodeTable, PULSE, Plan, retire_leftover};
use crate::node::repairs::Repairs;
use crate::pods::Redirected;
use crate::telemetry::logs::Every;

/// How often the rules are looked at, whether they are whole.
const REPAIR: Duration = Duration::from_secs(60);
/// How long the daemon may take to answer itself: less than what is left of a beat's lifetime.
const SELF_QUERY: Duration = Duration::from_millis(150);
/// So many answers in a row are wanted before we count as alive again.
const RECOVERED: u32 = 2;

/// The thread that keeps the rules.
pub(super) struct Steering {
    stop: Sender<()>,
    thread: JoinHandle<Option<NodeTable>>,
    stays: bool,
}

impl Steering {
    /// Makes the rules that the configuration asks for; `None` where it asks for none. To be called when
    /// the daemon answers. What is repaired later is counted in `repairs`.
    ///
    /// # Errors
    /// The rules cannot be made: what the kernel said.
    pub fn start(config: &Config, repairs: Arc<Repairs>) -> Result<Option<Steering>, NftError> {
        let records = config.pods.records();
        let Some(wanted) = config.node.steering(&config.listen.addresses) else {
            forget_predecessor(config, &records);
            return Ok(None);
        };
        let led = led(&records).unwrap_or_default();
        // While we are not alive, what the node itself asks of a stand-in goes to the cluster too.
        let mut addresses = config.listen.addresses.clone();
        addresses.retain(|addr| wanted.stand_ins.iter().all(|(_, ip)| *ip != addr.ip()));
        let plan = Plan::new(wanted.local, wanted.stand_ins, wanted.services)?;
        let table = NodeTable::install(plan.clone().leading(&led))?;
        let (stop, stopped) = channel();
        let followed = Followed { plan, records, repairs };
        let body = move || Keeper::new(table, addresses, followed).run(&stopped);
        let thread = std::thread::Builder::new().name("steering".to_owned()).spawn(body);
        let thread = thread.map_err(|source| NftError::Failed {
            what: "start the thread that keeps the rules".to_owned(),
            source,
            text: None,
        })?;
        tracing::info!("steering: rules are in place");
        Ok(Some(Steering { stop, thread, stays: config.node.leave_on_exit }))
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
    addresses: Vec<SocketAddr>,
    followed: Followed,
    /// Answers to ourselves in a row.
    answers: u32,
    alive: bool,
    warnings: Every,
}

impl Keeper {
    fn new(table: NodeTable, addresses: Vec<SocketAddr>, followed: Followed) -> Keeper {
        let warnings = Every::new(Duration::from_secs(10));
        Keeper { table, addresses, followed, answers: RECOVERED, alive: true, warnings }
    }

    /// Beats until told to stop; then steps aside and gives the table back.
    fn run(mut self, stopped: &Receiver<()>) -> Option<NodeTable> {
        let mut next_repair = Instant::now() + REPAIR;
        loop {
            let began = Instant::now();
            self.pulse();
            if began >= next_repair {
                next_repair = began + REPAIR;
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
        match self.addresses.iter().try_for_each(|&addr| answers(addr)) {
            Ok(()) => self.answers = self.answers.saturating_add(1),
            Err(error) => {
                self.answers = 0;
                if let Some(held_back) = self.warnings.allow(Instant::now()) {
                    tracing::error!(%error, held_back, "no answer from ourselves: stepping aside");
                }
            }
        }
        let alive = self.answers >= RECOVERED;
        if alive && !self.alive {
            tracing::info!("answering again: queries come to us");
        }
        let stopped = !alive && self.alive;
        self.alive = alive;
        let result = match (alive, stopped) {
            (true, _) => self.table.beat(),
            (false, true) => self.table.rest().map(|()| Beat::Kept),
            (false, false) => Ok(Beat::Kept),
        };
        match result {
            Ok(Beat::Kept) => {}
            Ok(Beat::Repaired) => {
                self.followed.repairs.rules.add(1);
                tracing::warn!("the rules were gone and are made again");
            }
            Err(error) => self.complain(&error),
        }
    }

    fn repair(&mut self) {
        match self.table.repair() {
            Ok(false) => {}
            Ok(true) => {
                self.followed.repairs.rules.add(1);
                tracing::warn!("the rules were changed and are made again");
            }
            Err(error) => self.complain(&error),
        }
        if let Err(error) = self.follow_pods() {
            self.complain(&error);
        }
    }

    /// Pods may come that another configuration of the plugin redirects, and those of old go.
    fn follow_pods(&mut self) -> Result<(), NftError> {
        let Some(led) = led(&self.followed.records) else { return Ok(()) };
        let plan = self.followed.plan.clone().leading(&led);
        if plan == *self.table.plan() { Ok(()) } else { self.table.change(plan) }
    }

    fn complain(&mut self, error: &NftError) {
        self.followed.repairs.rules_failures.add(1);
        if let Some(held_back) = self.warnings.allow(Instant::now()) {
            tracing::error!(%error, held_back, "cannot keep the rules");
        }
    }
}

/// Asks ourselves, from a port of its own, so that each of the shards has its turn.
fn answers(addr: SocketAddr) -> io::Result<()> {
    let any: SocketAddr = match addr {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(addr)?;
    socket.set_read_timeout(Some(SELF_QUERY))?;
    let (id, query) = super::picture::self_query();
    socket.send(&query)?;
    let mut answer = [0u8; 512];
    let until = Instant::now() + SELF_QUERY;
    while Instant::now() < until {
        let len = socket.recv(&mut answer)?;
        if len >= 12 && answer[..2] == id {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
