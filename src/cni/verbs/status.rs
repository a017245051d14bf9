//! STATUS: could ADD work? A runtime that hears no takes the node out of service, so only what ADD
//! cannot do without is tried: a sound configuration (read before) and a place for records. Whether
//! the daemon runs is not asked.

use crate::cni::error::CniError;
use crate::cni::records::Records;
use crate::cni::types::{Conf, Version};

pub(super) fn status(conf: &Conf) -> Result<(), CniError> {
    conf.version.at_least(Version::V1_1_0, "STATUS")?;
    let writable = Records::new(&conf.settings.pod_dir).try_writing();
    writable.map_err(|error| CniError::NotAvailable(error.details().to_owned()))
}
