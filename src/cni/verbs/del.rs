//! DEL: a pod goes. Asked for again and again, with the namespace there or not; nothing but a record
//! that cannot be removed keeps it from succeeding.

use std::time::SystemTime;

use super::of_namespace;
use crate::cni::environment::Detach;
use crate::cni::error::CniError;
use crate::cni::record::Identity;
use crate::cni::records::{Found, Records};
use crate::cni::redirect::{Namespace, Redirector};
use crate::cni::types::Cleanup;

pub(super) fn del(
    detach: &Detach,
    cleanup: &Cleanup,
    redirector: &dyn Redirector,
    now: SystemTime,
    warnings: &mut Vec<String>,
) -> Result<(), CniError> {
    let records = Records::new(&cleanup.pod_dir);
    let identity = detach.identity(&cleanup.network);
    // Older runtimes know no GC.
    let _ = records.sweep(now);
    let Ok(Found::Own(record)) = records.find(&identity) else { return records.remove(&identity) };
    let Some(netns) = detach.netns.as_ref().filter(|_| !record.redirect.is_empty()) else {
        return records.remove(&identity);
    };
    let held = redirector.hold(netns);
    let ended = match &held {
        Ok(Some(held)) => end_redirect(&records, &identity, &record.netns, held.as_ref()),
        Ok(None) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    warnings.extend(ended.err().map(|error| format!("the redirect may remain: {error}")));
    // Still held: who looks what else is redirected here must not find this any more.
    records.remove(&identity)
}

/// Ends this attachment's redirect; another one's in the same namespace stays. A failure is no reason
/// to keep the pod: the rules go with the namespace.
fn end_redirect(
    records: &Records,
    identity: &Identity,
    netns: &str,
    held: &dyn Namespace,
) -> Result<(), String> {
    let rest = of_namespace(records, identity, netns, &[]);
    match rest.map_err(|error| error.details().to_owned())? {
        rest if rest.is_empty() => held.remove(),
        rest => held.add(&rest),
    }
    .map_err(|error| error.to_string())
}
