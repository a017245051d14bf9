//! STATUS: could ADD work? A runtime that hears no takes the node out of service, so only what ADD
//! cannot do without is tried: a sound configuration (read before), a place for records, and where the
//! redirect is required, rules of the node that allow it. Whether the daemon runs is not asked.

use crate::cni::error::CniError;
use crate::cni::records::Records;
use crate::cni::redirect::{RedirectError, Redirector};
use crate::cni::settings::Redirect;
use crate::cni::types::{Conf, Version};
use crate::node::nft::NftError;

pub(super) fn status(conf: &Conf, redirector: &dyn Redirector) -> Result<(), CniError> {
    conf.version.at_least(Version::V1_1_0, "STATUS")?;
    let settings = &conf.settings;
    let writable = Records::new(&settings.pod_dir).try_writing();
    writable.map_err(|error| CniError::NotAvailable(error.details().to_owned()))?;
    if settings.redirect != Redirect::Required || settings.pairs.is_empty() {
        return Ok(());
    }
    use NftError::{NotLed, NotPermitted, Unsupported};
    match redirector.leads(&settings.pairs) {
        Err(RedirectError::Rules(
            error @ (NotLed { .. } | NotPermitted { .. } | Unsupported { .. }),
        )) => Err(CniError::NotAvailable(error.to_string())),
        // Rules that are not there ADD makes; and a kernel that is busy now is not so then.
        _ => Ok(()),
    }
}
