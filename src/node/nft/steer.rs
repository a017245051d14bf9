//! The node's table: DNS packets of our addresses go untracked, and around us while we are dead.
//!
//! ```text
//! query to ──┬─ a local address ───────────────► untracked, to us
//!            ├─ an address in `alive4`/`alive6` ─► untracked, to us
//!            ├─ a stand-in, not alive ──────────► becomes a query to the cluster DNS: kube-proxy's
//!            └─ a Service's, not alive ─────────► as it is: kube-proxy's
//! ```
//!
//! The sets are the daemon's pulse: [`NodeTable::beat`] fills them for [`LIFETIME`], and the kernel
//! empties them when no beat comes. So pods get answers from the cluster's own DNS within a second
//! after the daemon was killed or hangs, whatever it left behind.
//!
//! How it is used: after the addresses are bound and answered on, a thread of its own calls
//! [`NodeTable::install`], then [`NodeTable::beat`] every [`PULSE`] while the shards are known to
//! work (not merely while the process runs), and [`NodeTable::repair`] where [`NodeTable::is_touched`], and
//! every minute; it must not be a thread that serves queries, since the kernel holds a caller while other
//! programs change rules.
//! At the end [`NodeTable::rest`] before the sockets close, and [`NodeTable::retire`] after, unless
//! a successor has taken over. At the next start [`NodeTable::install`] replaces what a killed
//! daemon left; with nothing to steer, [`retire_leftover`] instead.
//!
//! The accept rules at the hooks `input` and `output` end these chains alone: another table that
//! drops packets to port 53 still does (nft(8), VERDICT STATEMENT). A host firewall must let DNS to
//! our addresses in, and must not take untracked answers for invalid. Their counters tell how many
//! packets came and went untracked.

use std::net::IpAddr;
use std::time::Duration;

use super::message::Batch;
use super::pairs::{check_addresses, check_each, check_pairs};
use super::socket::Socket;
use super::{NftError, Pair, PlanError};

mod fallback;
mod plan;

pub use fallback::{ensure_fallback, has_fallback};
pub use plan::Plan;

/// Name of the table, of family `inet`.
pub const TABLE: &str = "horizond_node";
/// The time from one beat to the next.
pub const PULSE: Duration = Duration::from_millis(250);
/// How long a beat keeps the addresses alive: two beats may be late.
pub const LIFETIME: Duration = Duration::from_millis(700);

/// What a beat found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// All was as it should be.
    Kept,
    /// The table or a set was gone, and has been made again.
    Repaired,
}

/// The node's table, in the network namespace of the thread that installed it.
///
/// Dropping it changes nothing in the kernel: the addresses stop being alive by themselves.
pub struct NodeTable {
    socket: Socket,
    plan: Plan,
    /// Whether the last word was that we are alive.
    beating: bool,
    /// Changes of others, when last asked.
    foreign: Option<u32>,
}

impl NodeTable {
    /// Makes the table, in place of one that is not the same, in one transaction. What is the same
    /// is adopted as it is, a predecessor's pulse included. Says nothing about being alive.
    pub fn install(plan: Plan) -> Result<Self, NftError> {
        let mut table = Self { socket: Socket::open()?, plan, beating: false, foreign: None };
        if !table.is_whole()? {
            table.put()?;
        }
        Ok(table)
    }

    /// Replaces the plan, in one transaction: packets meet the old table or the new one. Where we
    /// were alive we still are.
    pub fn change(&mut self, plan: Plan) -> Result<(), NftError> {
        let old = std::mem::replace(&mut self.plan, plan);
        self.put().inspect_err(|_| self.plan = old)
    }

    /// Says that we are alive for [`LIFETIME`] from now, in one transaction, and makes the table
    /// again if it is gone (another program flushed all rules).
    pub fn beat(&mut self) -> Result<Beat, NftError> {
        self.beating = true;
        if !self.plan.has_pulse() {
            return Ok(Beat::Kept);
        }
        match self.pulse(true) {
            Err(e) if e.is_absent() => self.put().map(|()| Beat::Repaired),
            result => result.map(|()| Beat::Kept),
        }
    }

    /// Says that we are not alive: new queries go around us from now on. Before a drain.
    pub fn rest(&mut self) -> Result<(), NftError> {
        self.beating = false;
        match self.pulse(false) {
            Err(e) if e.is_absent() => Ok(()),
            result => result,
        }
    }

    /// Whether the table is there with all its rules and none besides. Who is alive does not count.
    pub fn is_whole(&mut self) -> Result<bool, NftError> {
        Ok(self.socket.read(TABLE)?.is_some_and(|found| found == self.plan.table()))
    }

    /// Whether others may have changed rules, of whatever table, since this was asked last; `true` the
    /// first time. Costs a question and an answer of a few bytes, however many rules there are.
    pub fn is_touched(&mut self) -> Result<bool, NftError> {
        let now = self.socket.foreign_changes()?;
        Ok(self.foreign.replace(now) != Some(now))
    }

    /// Makes the table again if it is not whole, and says whether it had to.
    pub fn repair(&mut self) -> Result<bool, NftError> {
        let broken = !self.is_whole()?;
        if broken {
            self.put()?;
        }
        Ok(broken)
    }

    /// Leaves the node at the end of the daemon: removes the table, but leaves what leads the
    /// queries of redirected pods to the cluster DNS. Those pods live on, and without it would get
    /// no answer at all until the next start.
    pub fn retire(mut self) -> Result<(), NftError> {
        match self.plan.at_rest() {
            Some(plan) => {
                self.beating = false;
                self.change(plan)
            }
            None => delete(&mut self.socket).map(|_| ()),
        }
    }

    /// Removes the table whole. Redirected pods are without DNS from then on: for a node without
    /// any, or to be uninstalled.
    pub fn remove(mut self) -> Result<(), NftError> {
        delete(&mut self.socket).map(|_| ())
    }

    /// The plan that is kept up.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Replaces whatever table there is by ours, with our addresses alive if we are.
    fn put(&mut self) -> Result<(), NftError> {
        let (plan, beating) = (&self.plan, self.beating);
        self.socket.commit(|batch| {
            batch.replace(&plan.table());
            if beating && plan.has_pulse() {
                fill(batch, plan, true);
            }
        })
    }

    fn pulse(&mut self, alive: bool) -> Result<(), NftError> {
        let plan = &self.plan;
        self.socket.commit(|batch| fill(batch, plan, alive))
    }
}

/// Fills the sets, or empties them.
fn fill(batch: &mut Batch, plan: &Plan, alive: bool) {
    for (set, mut ips) in plan.pulse() {
        if !alive {
            ips.clear();
        }
        batch.refill(TABLE, set, &ips, LIFETIME.as_millis() as u64);
    }
}

/// Removes the table if it is there; for a start with nothing to steer, after a daemon that was
/// killed. `false` if there was none. Leaves what [`NodeTable::retire`] leaves only if `stand_ins`
/// names it: pairs that pods on this node may still be redirected by.
pub fn retire_leftover(stand_ins: &[Pair]) -> Result<bool, NftError> {
    let mut socket = Socket::open()?;
    let Some(plan) = Plan::fallback(stand_ins) else { return delete(&mut socket) };
    let there = socket.read(TABLE)?.is_some();
    NodeTable::install(plan)?;
    Ok(there)
}

/// What there is of the node's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// No table, or one that is switched off.
    Missing,
    /// The plan's, with all its rules and none besides.
    Whole,
    /// What [`NodeTable::retire`] leaves of the plan's, and no more.
    AtRest,
    /// Something else.
    Other,
}

/// What a look at the node's table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Its rules, beside the plan's. Without a plan they are never [`Rules::Whole`].
    pub rules: Rules,
    /// The addresses that are alive.
    pub alive: Vec<IpAddr>,
}

/// Looks at the table in the thread's network namespace, and changes nothing. The kernel tells only who
/// has CAP_NET_ADMIN there.
pub fn look(plan: Option<&Plan>) -> Result<Look, NftError> {
    let mut socket = Socket::open()?;
    let Some(found) = socket.read(TABLE)? else {
        return Ok(Look { rules: Rules::Missing, alive: Vec::new() });
    };
    let is = |plan: &Plan| plan.table() == found;
    let rules = match plan {
        Some(plan) if is(plan) => Rules::Whole,
        Some(plan) if plan.at_rest().as_ref().is_some_and(is) => Rules::AtRest,
        _ => Rules::Other,
    };
    let mut alive = Vec::new();
    for set in plan::ALIVE {
        alive.extend(socket.elements(TABLE, set)?);
    }
    Ok(Look { rules, alive })
}

fn delete(socket: &mut Socket) -> Result<bool, NftError> {
    match socket.commit(|batch| batch.delete(TABLE)) {
        Ok(()) => Ok(true),
        Err(e) if e.is_absent() => Ok(false),
        Err(e) => Err(e),
    }
}

/// The checks of a plan's three lists, and that no address has two parts.
fn check(local: &[IpAddr], stand_ins: &[Pair], services: &[IpAddr]) -> Result<(), PlanError> {
    check_addresses(local)?;
    check_pairs(stand_ins)?;
    check_addresses(services)?;
    let ours: Vec<IpAddr> =
        local.iter().chain(services).copied().chain(stand_ins.iter().map(|(_, s)| *s)).collect();
    check_each(&ours)?;
    if ours.is_empty() { Err(PlanError::Empty) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
