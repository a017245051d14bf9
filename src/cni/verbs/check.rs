//! CHECK: is everything as ADD left it? It changes nothing.

use super::{number, of_namespace, previous};
use crate::cni::environment::Attach;
use crate::cni::error::CniError;
use crate::cni::record::PodRecord;
use crate::cni::records::{Found, Records};
use crate::cni::redirect::{RedirectError, Redirector};
use crate::cni::types::{Conf, Version};

pub(super) fn check(
    attach: &Attach,
    mut conf: Conf,
    redirector: &dyn Redirector,
) -> Result<(), CniError> {
    conf.version.at_least(Version::V0_4_0, "CHECK")?;
    previous(conf.previous.take())?;
    let records = Records::new(&conf.settings.pod_dir);
    let identity = attach.identity(&conf.network);
    let record = own(&records, &identity)?;
    if record.redirect.is_empty() {
        return Ok(());
    }
    let gone = |details| {
        let msg = "the redirect of the pod's DNS is gone";
        Err(CniError::Own { number: number::REDIRECT_GONE, msg, details })
    };
    let netns = attach.netns.display();
    let held = match redirector.hold(&attach.netns) {
        Ok(Some(held)) => held,
        Ok(None) => return gone(format!("{netns}: no such network namespace")),
        Err(error @ RedirectError::Held { .. }) => {
            return Err(CniError::TryAgain(error.to_string()));
        }
        Err(error) => return gone(error.to_string()),
    };
    if record.netns_id.is_some_and(|id| id != held.id()) {
        return gone(format!("{netns} is another network namespace by now"));
    }
    // Held: an attachment that is being made has a record before it has its rules.
    let pairs = of_namespace(&records, &identity, &record, &record.redirect)?;
    match held.present(&pairs) {
        Ok(true) => {}
        Ok(false) => return gone(format!("in {netns} the rules are not as ADD left them")),
        Err(error) => return gone(error.to_string()),
    }
    match redirector.leads(&record.redirect) {
        Ok(true) => Ok(()),
        Ok(false) => {
            gone("the node's rules are gone, by which it comes to the cluster's DNS".into())
        }
        Err(error) => gone(error.to_string()),
    }
}

fn own(
    records: &Records,
    identity: &crate::cni::record::Identity,
) -> Result<Box<PodRecord>, CniError> {
    let what = match records.find(identity)? {
        Found::Own(record) => return Ok(record),
        Found::Nothing => "not there".to_owned(),
        Found::Damaged(why) => why,
        Found::Other(other) => format!("belongs to {}, {}", other.network, other.container),
    };
    let details = format!("{}: {what}", records.path(identity).display());
    Err(CniError::Own { number: number::RECORD_GONE, msg: "the pod record is gone", details })
}
