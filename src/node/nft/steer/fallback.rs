//! The plugin's part of the node's table: what it needs of it where no daemon has made it.
//!
//! A pod that is redirected before a daemon has ever run, or after it has ended, has to come to the cluster
//! DNS by rules that somebody makes. A table that serves is the daemon's and never touched; one that only
//! leads to the cluster DNS is extended. A daemon that starts later follows the pods' records and makes the
//! table anew.

use super::super::table::Table;
use super::super::{MAX_ADDRESSES, NftError, Pair, PlanError};
use super::plan::{self, Plan};
use super::{Socket, TABLE};

/// How often is looked again, because another plugin was faster.
const ATTEMPTS: usize = 3;

/// Makes sure, before a pod is redirected by the pairs `needed`, that its queries go to the cluster DNS
/// while no daemon answers. `all` are those of all pods of the plugin's configuration, and go into the table
/// with them. Leaves a table that leads `needed` as it is, and then returns `false`. For the plugin, in the
/// node's network namespace.
///
/// # Errors
/// Also [`NftError::NotLed`]: a daemon has made the table, for other pairs, and a pod that is redirected so
/// would get no answer from anybody.
pub fn ensure_fallback(needed: &[Pair], all: &[Pair]) -> Result<bool, NftError> {
    let plan = fallback_plan(needed)?;
    let wanted = Plan::fallback(&[needed, all].concat()).unwrap_or_else(|| plan.clone());
    let mut socket = Socket::open()?;
    let mut last = None;
    for _ in 0..ATTEMPTS {
        // Looking costs less than being refused: for a transaction that is taken back the kernel waits.
        let done = match socket.read(TABLE)? {
            None => socket.commit(|batch| batch.create(&wanted.table(), true)),
            Some(found) => match plan.lacking(&found).first() {
                None => return Ok(false),
                Some(pair) if is_served(&mut socket, &found)? => return Err(not_led(*pair)),
                Some(_) => extend(&mut socket, &wanted, &found),
            },
        };
        match done {
            Ok(()) => return Ok(true),
            // Another plugin, or a daemon, has made it or taken it away just now; or it is switched off.
            Err(error) if error.is_present() || error.is_absent() => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.filter(|error| !error.is_present()).unwrap_or(NftError::SwitchedOff))
}

/// Has a table that only leads lead more. Rules are added behind those that are there, so that plugins which
/// do it side by side take nothing from each other; where one of another pair is in the way the table is
/// made anew.
fn extend(socket: &mut Socket, wanted: &Plan, found: &Table) -> Result<(), NftError> {
    let lacking = wanted.lacking(found);
    let table = wanted.table_beside(found);
    // Twice what a daemon leads at most.
    let rules = plan::ways_around(&table);
    if rules > 2 * MAX_ADDRESSES {
        return Err(PlanError::TooMany(rules).into());
    }
    if lacking.iter().any(|pair| plan::is_contradicted(pair, found)) {
        return socket.commit(|batch| batch.replace(&table));
    }
    socket.commit(|batch| lacking.iter().for_each(|pair| plan::append(pair, batch)))
}

/// Whether queries for all these stand-ins go to the cluster DNS while nobody answers on them; `false` where
/// [`ensure_fallback`] would make it so. Changes nothing.
///
/// # Errors
/// Also [`NftError::NotLed`].
pub fn has_fallback(stand_ins: &[Pair]) -> Result<bool, NftError> {
    let plan = fallback_plan(stand_ins)?;
    let mut socket = Socket::open()?;
    let Some(found) = socket.read(TABLE)? else { return Ok(false) };
    match plan.lacking(&found).first() {
        None => Ok(true),
        Some(pair) if is_served(&mut socket, &found)? => Err(not_led(*pair)),
        Some(_) => Ok(false),
    }
}

/// Whether a daemon has made the table: it has addresses of its own that are nobody else's, or says that it
/// is alive.
fn is_served(socket: &mut Socket, found: &Table) -> Result<bool, NftError> {
    for set in plan::ALIVE {
        if !socket.elements(TABLE, set)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(plan::has_local(found))
}

fn not_led((cluster, stand_in): Pair) -> NftError {
    NftError::NotLed { cluster, stand_in }
}

fn fallback_plan(stand_ins: &[Pair]) -> Result<Plan, NftError> {
    if stand_ins.is_empty() {
        return Err(PlanError::Empty.into());
    }
    Ok(Plan::new(Vec::new(), stand_ins.to_vec(), Vec::new())?)
}
