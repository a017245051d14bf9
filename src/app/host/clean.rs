//! `horizond node clean`: takes away what is ours on this host, and nothing else.
//!
//! Rules, addresses, interface, each known by its name or mark, so that a configuration is not needed. What
//! leads redirected pods to the cluster's DNS stays while there are any, unless it is told otherwise.

use tokio::time::sleep;

use super::{Daemon, Host};
use crate::node::NodeError;
use crate::node::holder;
use crate::node::link::{self, Outcome, Served, Thing};
use crate::node::nft::NftError;
use crate::node::nft::steer::{LIFETIME, Look, Plan, Rules, TABLE, look, retire_leftover};
use crate::pods::Redirected;

/// How far to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extent {
    /// Although a daemon may be running.
    pub force: bool,
    /// Also what redirected pods depend on.
    pub all: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// Each thing that was removed.
    pub removed: Vec<String>,
    /// Each thing that stays, with the reason.
    pub kept: Vec<String>,
    /// Each thing that should have gone, with what the kernel said.
    pub failed: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// A daemon is there, or may be.
    #[error("{0}; stop it first, or say --force (a daemon that runs makes all of it again)")]
    Running(String),
    /// The interfaces or addresses.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The rules.
    #[error(transparent)]
    Rules(#[from] NftError),
}

/// Removes rules, addresses and interface of ours from the thread's network namespace. Calling it again is
/// harmless. Not cancel safe.
///
/// # Errors
/// Nothing has been removed, unless reading the host failed halfway.
pub async fn clean(host: &Host, extent: Extent) -> Result<Cleaned, CleanError> {
    let pods = Redirected::read(&host.records);
    let pairs = pods.as_ref().map(|pods| pods.pairs.clone()).unwrap_or_default();
    let fallback = Plan::fallback(&pairs).filter(|_| !extent.all);
    let rules = look_at_rules(fallback.as_ref())?;
    if !extent.force {
        refuse_while_running(host, &rules).await?;
    }
    let mut cleaned = Cleaned::default();
    if let (Err(error), false) = (&pods, extent.all) {
        // Whether pods depend on the rules cannot be told.
        cleaned.failed.push(format!("table inet {TABLE}: {error}; --all removes it nevertheless"));
    } else {
        let redirected = pods.map(|pods| pods.redirected).unwrap_or_default();
        clean_rules(&rules, fallback.map(|_| redirected), &pairs, &mut cleaned)?;
    }
    let served = if extent.force { Served::Go } else { Served::Stay };
    for outcome in link::remove_all(served).await? {
        match outcome {
            Outcome::Removed(thing) => cleaned.removed.push(thing.to_string()),
            Outcome::Kept(thing, why) => cleaned.kept.push(format!("{thing}: {why}")),
            Outcome::Failed(thing, error) => cleaned.failed.push(format!("{thing}: {error}")),
        }
    }
    Ok(cleaned)
}

/// A kernel without nf_tables has no rules.
fn look_at_rules(fallback: Option<&Plan>) -> Result<Look, NftError> {
    match look(fallback) {
        Err(NftError::Unsupported { .. }) => Ok(Look { rules: Rules::Missing, alive: Vec::new() }),
        other => other,
    }
}

/// `waiting`: how many pods depend on what leads them to the cluster's DNS, if it is to stay for them.
fn clean_rules(
    rules: &Look,
    waiting: Option<usize>,
    pairs: &[(std::net::IpAddr, std::net::IpAddr)],
    cleaned: &mut Cleaned,
) -> Result<(), NftError> {
    let table = format!("table inet {TABLE}");
    match (rules.rules, waiting) {
        (Rules::Missing, _) => {}
        (_, None) => {
            if retire_leftover(&[])? {
                cleaned.removed.push(table);
            }
        }
        (found, Some(pods)) => {
            if found != Rules::Whole {
                retire_leftover(pairs)?;
                cleaned.removed.push(format!("{table}, but for what leads redirected pods"));
            }
            let pods = if pods == 1 { "1 pod".to_owned() } else { format!("{pods} pods") };
            cleaned.kept.push(format!(
                "{table}: {pods} of this node would be without DNS; clean again when they are gone, or \
                 say --all"
            ));
        }
    }
    Ok(())
}

async fn refuse_while_running(host: &Host, rules: &Look) -> Result<(), CleanError> {
    let running = |why: String| Err(CleanError::Running(why));
    match host.daemon() {
        Daemon::Running(status) => return running(format!("horizond runs (pid {})", status.pid)),
        Daemon::Silent(why) => return running(format!("horizond may be running: {why}")),
        Daemon::Hidden(path) => {
            let path = path.display();
            return running(format!("horizond may be running: {path} is not ours to ask"));
        }
        Daemon::None => {}
    }
    for thing in link::marked().await? {
        let Thing::Address { ip, .. } = thing else { continue };
        if let Some(server) = holder::server_on(ip) {
            return running(format!("{server}, on an address of ours"));
        }
    }
    if !rules.alive.is_empty() {
        // The last beat of a daemon that was killed just now fades by itself.
        sleep(LIFETIME).await;
        if !look_at_rules(None)?.alive.is_empty() {
            return running(format!("a daemon says in the table inet {TABLE} that it is alive"));
        }
    }
    Ok(())
}
