//! ADD: a pod is made. Its record is written, its DNS redirected where that is wanted, and the result
//! of the plugins before us handed on with our `dns`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{number, of_namespace, previous};
use crate::cni::dns::{self, Dns};
use crate::cni::environment::Attach;
use crate::cni::error::CniError;
use crate::cni::record::{Identity, PodRecord, SearchFrom, VERSION};
use crate::cni::records::{Found, Records};
use crate::cni::redirect::{RedirectError, Redirector, wanted};
use crate::cni::settings::Redirect;
use crate::cni::standin::Pair;
use crate::cni::types::{Conf, PrevResult};
use crate::wire::name::Name;

/// One ADD.
pub(super) struct Add<'a> {
    pub redirector: &'a dyn Redirector,
    pub now: SystemTime,
    pub warnings: &'a mut Vec<String>,
}

impl Add<'_> {
    /// Does it, and gives the result. An ADD that fails leaves nothing behind.
    pub fn run(&mut self, attach: &Attach, mut conf: Conf) -> Result<Value, CniError> {
        let previous = previous(conf.previous.take())?;
        let dns = dns::of_result(&conf.settings, conf.runtime.dns.as_ref(), &previous.dns()?);
        let wanted = wanted(&conf.settings, &conf.runtime);
        self.warnings.extend(wanted.warning);
        let record = self.record(attach, &conf, wanted.pairs, &previous, &dns)?;
        let identity = attach.identity(&conf.network);
        let records = Records::new(&conf.settings.pod_dir);
        let before = records.find(&identity);
        let kind = (wanted.redirect, conf.settings.pairs.as_slice());
        let done = self.attach(attach, kind, &records, &identity, record);
        if done.is_err() {
            let undone = match before {
                // One that was attached before is so still, by its old record.
                Ok(Found::Own(old)) => records.restore(&identity, &old),
                _ => records.remove(&identity),
            };
            self.warnings.extend(undone.err().map(|e| e.details().into()));
        }
        done?;
        Ok(match conf.runtime.is_opted_out() {
            true => previous.in_version(conf.version),
            false => previous.with_dns(conf.version, &dns),
        })
    }

    /// Writes the record and redirects, or says why not: as an error where that is required, else as a
    /// warning and in the record. `all` are the pairs of the configuration.
    fn attach(
        &mut self,
        attach: &Attach,
        (redirect, all): (Redirect, &[Pair]),
        records: &Records,
        identity: &Identity,
        mut record: PodRecord,
    ) -> Result<(), CniError> {
        if record.redirect.is_empty() {
            return records.write(identity, &record);
        }
        let error = match self.redirect((&attach.netns, all), records, identity, &mut record) {
            Ok(()) => return Ok(()),
            Err(RedirectError::Records(error)) => return Err(error),
            Err(error @ RedirectError::Held { .. }) if redirect == Redirect::Required => {
                return Err(CniError::TryAgain(error.to_string()));
            }
            Err(error) => error,
        };
        if redirect == Redirect::Required {
            let msg = "the pod's DNS cannot be redirected";
            let details = error.to_string();
            return Err(CniError::Own { number: number::REDIRECT, msg, details });
        }
        self.warnings.push(format!(
            "the DNS of container {} is not redirected to this node's server: {error}",
            identity.container
        ));
        record.redirect.clear();
        records.write(identity, &record)
    }

    fn redirect(
        &self,
        (netns, all): (&Path, &[Pair]),
        records: &Records,
        identity: &Identity,
        record: &mut PodRecord,
    ) -> Result<(), RedirectError> {
        let gone = || RedirectError::Gone { path: netns.to_owned() };
        let held = self.redirector.hold(netns)?.ok_or_else(gone)?;
        record.netns_id = Some(held.id());
        // Before the rules: what a plugin that is killed leaves redirected, DEL must know of; and a daemon
        // that sees the node's rules change learns from the records why.
        records.write(identity, record).map_err(RedirectError::Records)?;
        self.redirector.lead(&record.redirect, all)?;
        let of = |own| of_namespace(records, identity, record, own);
        let pairs = of(&record.redirect).map_err(RedirectError::Records)?;
        let failed = held.add(&pairs).err();
        let Some(error) = failed else { return Ok(()) };
        // A kernel that answered too late may have done it. What cannot be taken back goes with the pod.
        let _ = match of(&[]) {
            Ok(rest) if !rest.is_empty() => held.add(&rest),
            _ => held.remove(),
        };
        Err(error)
    }

    fn record(
        &self,
        attach: &Attach,
        conf: &Conf,
        redirect: Vec<Pair>,
        previous: &PrevResult,
        dns: &Dns,
    ) -> Result<PodRecord, CniError> {
        let told = conf.runtime.dns.is_some();
        let since = self.now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(PodRecord {
            version: VERSION,
            network: conf.network.to_string(),
            container: attach.container.to_string(),
            interface: attach.interface.to_string(),
            netns: attach.netns.to_string_lossy().into_owned(),
            addresses: previous.addresses()?.into_iter().map(|ip| ip.to_canonical()).collect(),
            namespace: attach.args.namespace.clone(),
            pod: attach.args.pod.clone(),
            uid: attach.args.uid.clone(),
            // What is no domain, no query can end in.
            search: dns.search.iter().filter(|s| s.parse::<Name>().is_ok()).cloned().collect(),
            search_from: if told { SearchFrom::Runtime } else { SearchFrom::Configuration },
            ndots: ndots(&dns.options),
            redirect,
            netns_id: None,
            when_unix_s: since.as_secs(),
        })
    }
}

/// The last `ndots:N` of resolv.conf's options, at most 15 (resolv.conf(5)).
fn ndots(options: &[String]) -> Option<u8> {
    let number = |option: &String| option.strip_prefix("ndots:")?.parse::<u32>().ok();
    options.iter().rev().find_map(number).map(|number| number.min(15) as u8)
}

#[cfg(test)]
mod tests {
    use super::ndots;

    #[test]
    fn ndots_of_options() {
        for (options, expected) in [
            (&["ndots:5"][..], Some(5)),
            (&["ndots:5", "edns0", "ndots:2"], Some(2)),
            (&["ndots:99"], Some(15)),
            (&["ndots:", "ndots:x", "ndots"], None),
            (&[], None),
        ] {
            let options: Vec<String> = options.iter().map(ToString::to_string).collect();
            assert_eq!(ndots(&options), expected, "{options:?}");
        }
    }
}
