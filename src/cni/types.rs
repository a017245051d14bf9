//! The network configuration that a runtime writes to standard input (CNI specification 1.1.0,
//! sections 1 and 2), of the versions 0.3.1 to 1.1.0.
//!
//! ADD and CHECK read the whole of it, [`Conf`]; DEL and GC only what they cannot do without,
//! [`Cleanup`], so that a configuration spoilt later keeps no pod from going away.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::dns::Dns;
use super::error::CniError;
use super::json::{decode, get, list, object, shown, text, wrong};
use super::names::{ContainerId, InterfaceName, NetworkName};
use super::record::MAX_ADDRESSES;
use super::settings::{Redirect, Settings, pod_dir};

/// The annotation by which a pod has its own `redirect`; `off` leaves it alone.
pub const OPT_OUT: &str = "horizond.io/dns";
/// The key under which containerd passes a pod's annotations on.
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";
/// The key under which GC gets the attachments that remain.
const VALID_ATTACHMENTS: &str = "cni.dev/valid-attachments";
/// The same by the name that the specification first had for it. Runtimes write both.
const ATTACHMENTS: &str = "cni.dev/attachments";
/// Versions whose results write addresses under other keys.
const OLD_RESULTS: [&str; 2] = ["0.1.0", "0.2.0"];

/// A version of the CNI specification that is spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Version {
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Version; 4] =
        [Version::V0_3_1, Version::V0_4_0, Version::V1_0_0, Version::V1_1_0];
    /// The newest.
    pub const LATEST: Version = Version::V1_1_0;

    /// As it is written in `cniVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V0_3_1 => "0.3.1",
            Version::V0_4_0 => "0.4.0",
            Version::V1_0_0 => "1.0.0",
            Version::V1_1_0 => "1.1.0",
        }
    }

    /// The version to answer in, where the rest of the input may be wrong: the input's, or the newest.
    pub fn to_answer(stdin: &[u8]) -> Version {
        decode(stdin).and_then(|keys| Version::read(&keys)).unwrap_or(Version::LATEST)
    }

    /// Refuses a configuration of a version that has no such verb.
    ///
    /// # Errors
    /// [`CniError::Version`].
    pub fn at_least(self, least: Version, verb: &str) -> Result<(), CniError> {
        if self >= least {
            return Ok(());
        }
        let (own, least) = (self.as_str(), least.as_str());
        Err(CniError::Version(format!("{verb} is of {least}; the configuration is of {own}")))
    }

    fn read(keys: &Map<String, Value>) -> Result<Version, CniError> {
        let spoken = Version::ALL.map(Version::as_str).join(", ");
        let Some(value) = get(keys, "cniVersion") else {
            return Err(CniError::Version(format!("no cniVersion; spoken here: {spoken}")));
        };
        let given = text("cniVersion", value)?;
        Version::ALL.into_iter().find(|version| version.as_str() == given).ok_or_else(|| {
            CniError::Version(format!("{} is not spoken here: {spoken}", shown(given)))
        })
    }
}

/// The network configuration as ADD, CHECK and STATUS need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Conf {
    /// `cniVersion`, which is also the result's.
    pub version: Version,
    /// `name`.
    pub network: NetworkName,
    /// `type`: what this plugin is called.
    pub plugin: String,
    /// What our entry of the conflist says.
    pub settings: Settings,
    /// `runtimeConfig`.
    pub runtime: Runtime,
    /// `prevResult`; ADD and CHECK cannot do without.
    pub previous: Option<PrevResult>,
}

/// What the runtime knows of the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// The pod's own DNS settings; `None` where the runtime says nothing at all.
    pub dns: Option<Dns>,
    /// The pod's annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Conf {
    /// Reads standard input.
    ///
    /// # Errors
    /// Whatever is wrong with it, as a runtime is told.
    pub fn parse(stdin: &[u8]) -> Result<Conf, CniError> {
        let mut keys = decode(stdin)?;
        let version = Version::read(&keys)?;
        let previous = match keys.remove("prevResult") {
            None | Some(Value::Null) => None,
            Some(Value::Object(result)) => Some(PrevResult(result)),
            Some(_) => return Err(wrong("prevResult", "not an object")),
        };
        if let Some(previous) = &previous {
            previous.check_version()?;
            previous.dns()?;
            previous.addresses()?;
        }
        let plugin = get(&keys, "type").ok_or_else(|| wrong("type", "missing"))?;
        Ok(Conf {
            version,
            network: network(&keys)?,
            plugin: text("type", plugin)?.to_owned(),
            settings: Settings::read(&keys)?,
            runtime: Runtime::read(&keys)?,
            previous,
        })
    }
}

impl Runtime {
    fn read(keys: &Map<String, Value>) -> Result<Runtime, CniError> {
        let Some(value) = get(keys, "runtimeConfig") else { return Ok(Runtime::default()) };
        let keys = object("runtimeConfig", value)?;
        let dns = get(keys, "dns")
            .map(|block| Dns::read_usable("runtimeConfig.dns", block))
            .transpose()?;
        let mut annotations = BTreeMap::new();
        if let Some(value) = get(keys, ANNOTATIONS) {
            // People write what they like into annotations, line breaks too.
            for (key, value) in object("runtimeConfig pod annotations", value)? {
                if let Some(text) = value.as_str() {
                    annotations.insert(key.clone(), text.to_owned());
                }
            }
        }
        Ok(Runtime { dns: dns.filter(|dns| !dns.is_empty()), annotations })
    }

    /// What the pod says about its own redirect, sense or nonsense.
    pub fn said(&self) -> Option<&str> {
        self.annotations.get(OPT_OUT).map(|value| value.trim())
    }

    /// Whether the pod is to be left alone.
    pub fn is_opted_out(&self) -> bool {
        self.said().and_then(|said| said.parse().ok()) == Some(Redirect::Off)
    }
}

/// The result of the plugins before us: handed on with every key, known here or not.
#[derive(Debug, Clone, PartialEq)]
pub struct PrevResult(Map<String, Value>);

impl PrevResult {
    /// Its `dns`; empty where there is none.
    ///
    /// # Errors
    /// [`CniError::Config`]; never for one that came with a [`Conf`].
    pub fn dns(&self) -> Result<Dns, CniError> {
        let block = get(&self.0, "dns").map(|block| Dns::read("prevResult.dns", block));
        block.unwrap_or_else(|| Ok(Dns::default()))
    }

    /// The addresses of the container, from its `ips`.
    ///
    /// # Errors
    /// [`CniError::Config`]; never for one that came with a [`Conf`].
    pub fn addresses(&self) -> Result<Vec<IpAddr>, CniError> {
        let Some(ips) = get(&self.0, "ips") else { return Ok(vec![]) };
        let ips = list("prevResult.ips", ips)?;
        if ips.len() > MAX_ADDRESSES {
            return Err(wrong("prevResult.ips", format!("more than {MAX_ADDRESSES} elements")));
        }
        ips.iter().enumerate().map(|(i, ip)| address(&format!("prevResult.ips[{i}]"), ip)).collect()
    }

    /// A runtime hands results on in the configuration's version. A plugin that delegates may have let
    /// through one that is older, and is taken at its word where that says the same.
    fn check_version(&self) -> Result<(), CniError> {
        let version = get(&self.0, "cniVersion").and_then(Value::as_str).unwrap_or_default();
        if !OLD_RESULTS.contains(&version) {
            return Ok(());
        }
        let spoken = Version::ALL.map(Version::as_str).join(", ");
        let what = format!("prevResult is of {version}; results are read here as in {spoken}");
        Err(CniError::Version(what))
    }

    /// The result to hand on: in this version, with this `dns` (without one where that says nothing),
    /// all else as it came.
    pub fn with_dns(mut self, version: Version, dns: &Dns) -> Value {
        if dns.is_empty() {
            self.0.shift_remove("dns");
        } else {
            self.0.insert("dns".into(), dns.to_value());
        }
        self.in_version(version)
    }

    /// The result to hand on, in this version, with the `dns` that it came with.
    pub fn in_version(mut self, version: Version) -> Value {
        self.0.insert("cniVersion".into(), json!(version.as_str()));
        // Before 1.0.0 an address goes with the version of IP, and a reader of then cannot do without.
        let ips = self.0.get_mut("ips").filter(|_| version < Version::V1_0_0);
        for ip in ips.and_then(Value::as_array_mut).into_iter().flatten() {
            let family = address("ips", ip).map(|ip| if ip.is_ipv4() { "4" } else { "6" });
            if let (Ok(family), Some(ip)) = (family, ip.as_object_mut()) {
                ip.entry("version").or_insert_with(|| json!(family));
            }
        }
        Value::Object(self.0)
    }
}

/// The address in an element of `ips`, which is written with the length of its prefix.
fn address(path: &str, value: &Value) -> Result<IpAddr, CniError> {
    let key = format!("{path}.address");
    let value = get(object(path, value)?, "address").ok_or_else(|| wrong(&key, "missing"))?;
    let given = text(&key, value)?;
    let ip = given.split_once('/').map_or(given, |(ip, _)| ip);
    ip.parse().map_err(|_| wrong(&key, format!("{} is not an address", shown(given))))
}

/// The network configuration as DEL and GC need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cleanup {
    /// `cniVersion`.
    pub version: Version,
    /// `name`: whose records may be dropped.
    pub network: NetworkName,
    /// `podDir`, or what is wrong with it. No ADD has written a record there.
    pub pod_dir: Result<PathBuf, CniError>,
    /// `cni.dev/valid-attachments`, or `cni.dev/attachments`: who remains. `None` where GC was not told, and
    /// may drop nothing.
    pub attachments: Option<Vec<Attachment>>,
}

/// A container's interface in a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attachment {
    /// `containerID`.
    pub container: ContainerId,
    /// `ifname`.
    pub interface: InterfaceName,
}

impl Cleanup {
    /// Reads standard input.
    ///
    /// # Errors
    /// Whatever is wrong with these keys; the others are not looked at.
    pub fn parse(stdin: &[u8]) -> Result<Cleanup, CniError> {
        let keys = decode(stdin)?;
        // libcni writes null where none remain, and both keys alike.
        let both = [VALID_ATTACHMENTS, ATTACHMENTS];
        let given = || both.into_iter().filter_map(|key| keys.get(key).map(|value| (key, value)));
        let told = given().find(|(_, value)| !value.is_null()).or_else(|| given().next());
        let remaining = told.map(|(key, value)| attachments(key, value)).transpose()?;
        Ok(Cleanup {
            version: Version::read(&keys)?,
            network: network(&keys)?,
            pod_dir: pod_dir(&keys),
            attachments: remaining,
        })
    }
}

/// The attachments of a list. One whose names are none that a record could have has none.
fn attachments(key: &str, value: &Value) -> Result<Vec<Attachment>, CniError> {
    if value.is_null() {
        return Ok(vec![]);
    }
    let read = |(i, value): (usize, &Value)| {
        let path = format!("{key}[{i}]");
        let keys = object(&path, value)?;
        let name = |key: &str| {
            let path = format!("{path}.{key}");
            get(keys, key).ok_or_else(|| wrong(&path, "missing")).and_then(|v| text(&path, v))
        };
        let (container, interface) = (name("containerID")?, name("ifname")?);
        let names = ContainerId::new(container).ok().zip(InterfaceName::new(interface).ok());
        Ok(names.map(|(container, interface)| Attachment { container, interface }))
    };
    let all = list(key, value)?.iter().enumerate().map(read);
    all.filter_map(Result::transpose).collect()
}

fn network(keys: &Map<String, Value>) -> Result<NetworkName, CniError> {
    let name = get(keys, "name").ok_or_else(|| wrong("name", "missing"))?;
    NetworkName::new(text("name", name)?).map_err(|error| wrong("name", error))
}

#[cfg(test)]
mod tests;
