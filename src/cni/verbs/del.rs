//! DEL: a pod goes. Asked for again and again, with the namespace there or not. A record that cannot be
//! removed does not keep it: it costs a few bytes until GC or the next start of the node, the pod would
//! keep its address and never be gone.

use std::time::SystemTime;

use super::of_namespace;
use crate::cni::environment::Detach;
use crate::cni::record::{Identity, PodRecord};
use crate::cni::records::{Found, Records};
use crate::cni::redirect::{Namespace, Redirector};
use crate::cni::types::Cleanup;

pub(super) fn del(
    detach: &Detach,
    cleanup: &Cleanup,
    redirector: &dyn Redirector,
    now: SystemTime,
    warnings: &mut Vec<String>,
) {
    let records = match &cleanup.pod_dir {
        Ok(directory) => Records::new(directory),
        // A pod that no ADD has written down.
        Err(error) => {
            return warnings.push(format!("no record is looked for: {}", error.details()));
        }
    };
    let identity = detach.identity(&cleanup.network);
    // Older runtimes know no GC.
    let _ = records.sweep(now);
    let held = match (records.find(&identity), &detach.netns) {
        (Ok(Found::Own(record)), Some(netns)) if !record.redirect.is_empty() => {
            let held = redirector.hold(netns).map_err(|error| error.to_string());
            let ended = held.as_ref().map_err(String::clone).and_then(|held| match held {
                Some(held) => end_redirect(&records, &identity, &record, held.as_ref()),
                None => Ok(()),
            });
            warnings.extend(ended.err().map(|error| format!("the redirect may remain: {error}")));
            held.ok().flatten()
        }
        _ => None,
    };
    if let Err(error) = records.remove(&identity) {
        warnings.push(format!("the record remains: {}", error.details()));
    }
    // Until here: who looks what else is redirected must not find this any more.
    drop(held);
}

/// Ends this attachment's redirect; another one's in the same namespace stays. A failure is no reason
/// to keep the pod: the rules go with the namespace.
fn end_redirect(
    records: &Records,
    identity: &Identity,
    record: &PodRecord,
    held: &dyn Namespace,
) -> Result<(), String> {
    // The path is another pod's by now, and the rules went with the namespace that had it.
    if record.netns_id.is_some_and(|id| id != held.id()) {
        return Ok(());
    }
    let rest = of_namespace(records, identity, record, &[]);
    match rest.map_err(|error| error.details().to_owned())? {
        rest if rest.is_empty() => held.remove(),
        rest => held.add(&rest),
    }
    .map_err(|error| error.to_string())
}
