//! DEL: a pod goes. Asked for again and again, with the namespace there or not; nothing but a record
//! that cannot be removed keeps it from succeeding.

use std::path::Path;

use super::of_namespace;
use crate::cni::environment::Detach;
use crate::cni::error::CniError;
use crate::cni::record::Identity;
use crate::cni::records::{Found, Records};
use crate::cni::redirect::Redirector;
use crate::cni::types::Cleanup;

pub(super) fn del(
    detach: &Detach,
    cleanup: &Cleanup,
    redirector: &dyn Redirector,
    warnings: &mut Vec<String>,
) -> Result<(), CniError> {
    let records = Records::new(&cleanup.pod_dir);
    let identity = detach.identity(&cleanup.network);
    if let (Ok(Found::Own(record)), Some(netns)) = (records.find(&identity), &detach.netns)
        && !record.redirect.is_empty()
    {
        let ended = end_redirect(&records, &identity, netns, redirector);
        warnings.extend(ended.err().map(|error| format!("the redirect may remain: {error}")));
    }
    records.remove(&identity)
}

/// Ends this attachment's redirect; another one's in the same namespace stays. A failure is no reason
/// to keep the pod: the rules go with the namespace.
fn end_redirect(
    records: &Records,
    identity: &Identity,
    netns: &Path,
    redirector: &dyn Redirector,
) -> Result<(), String> {
    let rest = of_namespace(records, identity, &netns.to_string_lossy(), &[]);
    match rest.map_err(|error| error.details().to_owned())? {
        rest if rest.is_empty() => redirector.remove(netns),
        rest => redirector.add(netns, &rest),
    }
    .map_err(|error| error.to_string())
}
