//! A pod record: what the plugin writes down about a pod at ADD and the daemon reads.
//!
//! One file of JSON an attachment, `<network>_<container-id>_<ifname>.json`. This is its content and
//! its name; [`super::records`] puts it on disk. Reading believes nothing: the file may be of
//! another version, damaged, or somebody else's work.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::json::{MAX_LIST, MAX_TEXT};
use super::names::{ContainerId, InterfaceName, NetworkName};
use super::standin::MAX_PAIRS;
use crate::wire::name::Name;

/// The longest record in bytes; a longer file is none.
pub const MAX_RECORD: usize = 64 * 1024;
/// The most addresses of a pod.
pub const MAX_ADDRESSES: usize = 64;
/// The version written here. It goes up when a reader of today would misunderstand a record; keys that
/// a reader does not know it passes over.
pub const VERSION: u32 = 1;
/// What the name of a record's file ends in.
pub const SUFFIX: &str = ".json";

/// Whose interface in which network: what a record is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The network's name.
    pub network: NetworkName,
    /// The container's id.
    pub container: ContainerId,
    /// The interface's name in the container.
    pub interface: InterfaceName,
}

impl Identity {
    /// The name of the record's file: at most 255 bytes, no `/` in it, no dot in front. Since names may
    /// hold `_` too, two identities can share one: a reader looks at the record for whose it is.
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}{SUFFIX}", self.network, self.container, self.interface)
    }
}

/// A record as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Name of the network.
    pub network: String,
    /// Id of the container (of the pod's sandbox).
    pub container: String,
    /// Name of the interface in it.
    pub interface: String,
    /// Path of its network namespace.
    pub netns: String,
    /// Device and inode number of the namespace that was redirected, as `[4, 4026532008]`: another may have its
    /// path by the time that the pod goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns_id: Option<NamespaceId>,
    /// The pod's addresses in this network: the ones that its queries come from.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Kubernetes namespace, where the runtime says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the pod, where the runtime says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// UID of the pod, where the runtime says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The search list, its elements as they were given.
    #[serde(default)]
    pub search: Vec<String>,
    /// Where the search list is known from.
    #[serde(default)]
    pub search_from: SearchFrom,
    /// `ndots` of the pod's resolv.conf, where it is known; 1 is what a resolver takes otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ndots: Option<u8>,
    /// What is redirected in the pod's network namespace: cluster DNS address and stand-in.
    #[serde(default)]
    pub redirect: Vec<(IpAddr, IpAddr)>,
    /// When it was written, in seconds since 1970 (UTC).
    pub when_unix_s: u64,
}

/// What tells a network namespace from any other that is there at the same time: device and inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceId(pub u64, pub u64);

/// Where a record's search list comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchFrom {
    /// The runtime told: it is what stands in the pod's resolv.conf.
    Runtime,
    /// The plugin's configuration: the pod's resolv.conf has it only where the runtime makes it of the
    /// plugin's result (podman, Nomad). A kubelet makes its own, so nothing may be completed by it.
    #[default]
    Configuration,
}

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`MAX_RECORD`].
    #[error("longer than {MAX_RECORD} bytes")]
    TooLong,
    /// Not JSON, or not of this shape.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Of another version.
    #[error("version {0}, and {VERSION} is read here")]
    Version(u32),
    /// A value that no record of ours has.
    #[error("{key}: {what}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        what: String,
    },
}

/// The version, which decides whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    version: u32,
}

impl PodRecord {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// Says what keeps them from being a record.
    pub fn parse(bytes: &[u8]) -> Result<PodRecord, RecordError> {
        if bytes.len() > MAX_RECORD {
            return Err(RecordError::TooLong);
        }
        let head: Head = serde_json::from_slice(bytes)?;
        if head.version != VERSION {
            return Err(RecordError::Version(head.version));
        }
        let record: PodRecord = serde_json::from_slice(bytes)?;
        record.check()?;
        Ok(record)
    }

    /// Whether both are of one network namespace. The path alone counts where one of them does not know more.
    pub fn is_in_namespace_of(&self, other: &PodRecord) -> bool {
        let same = self.netns_id.zip(other.netns_id).is_none_or(|(own, other)| own == other);
        same && self.netns == other.netns
    }

    /// As it stands in the file, one line.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts, numbers and lists of them: nothing that JSON could not hold.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// Whose it is.
    ///
    /// # Errors
    /// [`RecordError::Value`]; never for one that was parsed.
    pub fn identity(&self) -> Result<Identity, RecordError> {
        let wrong =
            |key| move |e: super::names::BadName| RecordError::Value { key, what: e.to_string() };
        Ok(Identity {
            network: NetworkName::new(&self.network).map_err(wrong("network"))?,
            container: ContainerId::new(&self.container).map_err(wrong("container"))?,
            interface: InterfaceName::new(&self.interface).map_err(wrong("interface"))?,
        })
    }

    fn check(&self) -> Result<(), RecordError> {
        let wrong = |key, what: String| Err(RecordError::Value { key, what });
        self.identity()?;
        for (key, len, most) in [
            ("addresses", self.addresses.len(), MAX_ADDRESSES),
            ("search", self.search.len(), MAX_LIST),
            ("redirect", self.redirect.len(), MAX_PAIRS),
        ] {
            if len > most {
                return wrong(key, format!("{len} elements; at most {most}"));
            }
        }
        let names = [
            ("netns", Some(&self.netns)),
            ("namespace", self.namespace.as_ref()),
            ("pod", self.pod.as_ref()),
            ("uid", self.uid.as_ref()),
        ];
        let domains = self.search.iter().map(|domain| ("search", Some(domain)));
        for (key, text) in names.into_iter().chain(domains) {
            let Some(text) = text else { continue };
            // These end up in logs and labels, where a line break would begin a line of its own.
            if text.len() > MAX_TEXT || text.chars().any(char::is_control) {
                return wrong(key, "too long, or with control characters".to_owned());
            }
        }
        match self.search.iter().find(|domain| domain.parse::<Name>().is_err()) {
            Some(domain) => wrong("search", format!("{} is no domain", super::json::shown(domain))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
