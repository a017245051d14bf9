//! The plugin's own keys in the network configuration, and HeadCNI's block beside them.
//!
//! Keys of CNI and of others are left to them; one of ours that is misspelt is an error, or a node
//! would run for months with a setting that nobody reads.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Component, PathBuf};
use std::str::FromStr;

use serde_json::{Map, Value};

use super::dns::Dns;
use super::error::CniError;
use super::json::{addresses, get, shown, text, texts, wrong};
use super::magic_dns::{self, MagicDns};
use super::standin::{self, Pair};
use crate::wire::name::Name;

/// What a pod's DNS is redirected to, and told of, where the configuration does not say.
const NAMESERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10));
/// The cluster's DNS Service, where the configuration does not say.
const CLUSTER_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));
/// Where pod records lie, where the configuration does not say.
const POD_DIR: &str = "/run/horizond/pods";

/// Our keys, all of them optional.
const OWN: [&str; 8] = [
    "nameservers",
    "search",
    "options",
    "clusterDNS",
    "standIns",
    "redirect",
    "podDir",
    "magic_dns",
];
/// Keys of CNI itself.
const STANDARD: [&str; 10] = [
    "cniVersion",
    "name",
    "type",
    "args",
    "ipMasq",
    "ipam",
    "dns",
    "capabilities",
    "runtimeConfig",
    "prevResult",
];

/// Whether a pod's DNS is redirected inside its own network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirect {
    /// ADD fails without it.
    Required,
    /// A failure is a warning.
    #[default]
    Preferred,
    /// Not tried.
    Off,
}

impl Redirect {
    /// What can be said, for people.
    pub const WORDS: &str = "\"required\", \"preferred\", \"off\"";
}

impl FromStr for Redirect {
    type Err = ();

    fn from_str(text: &str) -> Result<Redirect, ()> {
        match text {
            "required" => Ok(Redirect::Required),
            "preferred" => Ok(Redirect::Preferred),
            "off" => Ok(Redirect::Off),
            _ => Err(()),
        }
    }
}

/// What our entry of the conflist says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The node's server, for the result's `dns`: `nameservers`, else those of the entry's `dns`, else
    /// 169.254.20.10. Never empty.
    pub nameservers: Vec<IpAddr>,
    /// Domains to search for pods whose own list is not known.
    pub search: Vec<String>,
    /// Options of resolv.conf(5), likewise.
    pub options: Vec<String>,
    /// `clusterDNS`: the cluster's DNS, for pods whose servers the runtime does not tell.
    pub cluster_dns: Vec<IpAddr>,
    /// Each of them that is not the node's server already, with what stands in for it: `standIns`, in
    /// the order of `clusterDNS`, or what [`standin::pairs`] derives.
    pub pairs: Vec<Pair>,
    /// `redirect`.
    pub redirect: Redirect,
    /// `podDir`: where pod records lie; absolute.
    pub pod_dir: PathBuf,
    /// The entry's `dns`, CNI's own key for the same things.
    pub dns: Dns,
    /// `magic_dns`, HeadCNI's block.
    pub magic_dns: Option<MagicDns>,
}

impl Settings {
    /// Reads them out of the whole network configuration.
    ///
    /// # Errors
    /// [`CniError::UnsupportedField`] for a key that was meant to be ours, [`CniError::Config`] for a
    /// value that is not what its key needs.
    pub fn read(keys: &Map<String, Value>) -> Result<Settings, CniError> {
        refuse_misspelt(keys)?;
        let dns = get(keys, "dns").map(|block| Dns::read("dns", block)).transpose()?;
        let dns = dns.unwrap_or_default();
        let list = |key: &str| get(keys, key).map(|value| texts(key, value)).transpose();
        let nameservers = match list("nameservers")?.unwrap_or_default() {
            ours if !ours.is_empty() => addresses("nameservers", &ours)?,
            _ if !dns.nameservers.is_empty() => addresses("dns.nameservers", &dns.nameservers)?,
            _ => vec![NAMESERVER],
        };
        let cluster_dns = match list("clusterDNS")? {
            Some(given) => addresses("clusterDNS", &given)?,
            None => vec![CLUSTER_DNS],
        };
        let given = addresses("standIns", &list("standIns")?.unwrap_or_default())?;
        let redirect = redirect(keys)?;
        // Where it is off, too: a pod may ask for it.
        let pairs = standin::pairs(&cluster_dns, &given, &nameservers)
            .map_err(|error| wrong("clusterDNS and standIns", error))?;
        let magic_dns = get(keys, magic_dns::KEY).map(MagicDns::read).transpose()?;
        Ok(Settings {
            nameservers,
            search: search(keys)?,
            options: list("options")?.unwrap_or_default(),
            cluster_dns,
            pairs,
            redirect,
            pod_dir: pod_dir(keys)?,
            dns,
            magic_dns,
        })
    }
}

/// `podDir`, which DEL and GC need alone.
///
/// # Errors
/// [`CniError::Config`] where it is not absolute or leads upwards.
pub fn pod_dir(keys: &Map<String, Value>) -> Result<PathBuf, CniError> {
    let Some(value) = get(keys, "podDir") else { return Ok(POD_DIR.into()) };
    let path = PathBuf::from(text("podDir", value)?);
    let plain = path.components().all(|part| part != Component::ParentDir);
    let given = shown(&path.to_string_lossy());
    match (path.is_absolute(), plain) {
        (true, true) => Ok(path),
        (false, _) => Err(wrong("podDir", format_args!("{given} is not an absolute path"))),
        (true, false) => Err(wrong("podDir", format_args!("{given} has .. in it"))),
    }
}

fn redirect(keys: &Map<String, Value>) -> Result<Redirect, CniError> {
    let Some(value) = get(keys, "redirect") else { return Ok(Redirect::default()) };
    let word = text("redirect", value)?;
    let unknown = |()| format!("{} is none of {}", shown(word), Redirect::WORDS);
    word.parse().map_err(|error| wrong("redirect", unknown(error)))
}

fn search(keys: &Map<String, Value>) -> Result<Vec<String>, CniError> {
    let Some(value) = get(keys, "search") else { return Ok(vec![]) };
    let domains = texts("search", value)?;
    for domain in &domains {
        domain.parse::<Name>().map_err(|e| wrong("search", format!("{} {e}", shown(domain))))?;
    }
    Ok(domains)
}

/// One of our keys spelt otherwise, as `nameserver` or `cluster_dns`.
fn refuse_misspelt(keys: &Map<String, Value>) -> Result<(), CniError> {
    for (key, value) in keys {
        if OWN.contains(&key.as_str()) || STANDARD.contains(&key.as_str()) || key.len() > 40 {
            continue;
        }
        let plain = folded(key);
        let meant = OWN
            .iter()
            .map(|own| (strsim::osa_distance(&plain, &folded(own)), *own))
            .filter(|(distance, own)| *distance <= own.len().max(plain.len()) / 4)
            .min();
        if let Some((_, own)) = meant {
            let value = shown(&value.to_string());
            return Err(CniError::UnsupportedField(format!(
                "{key:?}: {value}; did you mean {own}?"
            )));
        }
    }
    Ok(())
}

fn folded(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests;
