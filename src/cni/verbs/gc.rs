//! GC: records that belong to no attachment any more go, of this network alone.
//!
//! Redirects are not looked for: they went with their namespaces, and the path of one that is gone may
//! be another pod's by now.

use std::collections::HashSet;
use std::time::SystemTime;

use crate::cni::error::CniError;
use crate::cni::records::Records;
use crate::cni::types::{Attachment, Cleanup, Version};

pub(super) fn gc(
    cleanup: &Cleanup,
    now: SystemTime,
    warnings: &mut Vec<String>,
) -> Result<(), CniError> {
    cleanup.version.at_least(Version::V1_1_0, "GC")?;
    let records = Records::new(cleanup.pod_dir.as_ref().map_err(Clone::clone)?);
    let Some(valid) = &cleanup.attachments else {
        warnings.push("GC without cni.dev/valid-attachments drops nothing".to_owned());
        return Ok(());
    };
    let valid: HashSet<&Attachment> = valid.iter().collect();
    records.sweep(now)?;
    let listing = records.list(&format!("{}_", cleanup.network))?;
    warnings.extend(listing.damaged.into_iter().map(|what| format!("left alone: {what}")));
    let mut failed = None;
    for (whose, _) in listing.records {
        let attachment =
            Attachment { container: whose.container.clone(), interface: whose.interface.clone() };
        if whose.network == cleanup.network && !valid.contains(&attachment) {
            // One that stays must not keep the others.
            failed = failed.or(records.remove(&whose).err());
        }
    }
    failed.map_or(Ok(()), Err)
}
