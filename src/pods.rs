//! The pods of this node, known from the records that the CNI plugin writes.
//!
//! A [`Table`] says whose an address is: it is made by the watching task out of what a [`Folder`]
//! has found, never changed, and put into [`Known`], from where each thread takes it once a batch.
//! So a look-up is one probe of a map, without a lock. Nothing here is needed for an answer: without
//! a record a client is as welcome as with one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use hashbrown::{HashMap, HashSet};

use crate::cni::record::{PodRecord, SearchFrom};
use crate::wire::name::Name;

mod folder;
mod namespaces;
mod redirected;

pub use folder::{AT_START, EVERY, Folder, PER_LOOK};
pub use namespaces::{NO_NAMESPACE, Namespaces, OTHER};
pub use redirected::Redirected;

/// The most records; what is beyond is not used.
pub const MAX_RECORDS: usize = 16_384;
/// The most addresses of all pods together; what is beyond is not found.
pub const MAX_ALL_ADDRESSES: usize = 4 * MAX_RECORDS;
/// The longest name of a namespace or pod, and the longest UID, in bytes.
const MAX_WORD: usize = 253;

/// What is known of a pod in one network.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its Kubernetes namespace, where the runtime said.
    pub namespace: Option<Box<str>>,
    /// Its name, where the runtime said.
    pub name: Option<Box<str>>,
    /// Its UID, where the runtime said.
    pub uid: Option<Box<str>>,
    /// The network that the record is about.
    pub network: Box<str>,
    /// Its container's id: the same in each of its networks.
    pub container: Box<str>,
    /// Its addresses in this network, as clients are seen; never one that stands for the node itself.
    pub addresses: Box<[IpAddr]>,
    /// Its search list in its order.
    pub search: Box<[Name]>,
    /// Where the search list is known from.
    pub search_from: SearchFrom,
    /// `ndots` of its resolv.conf, where known.
    pub ndots: Option<u8>,
    /// What the counters by namespace know it under; see [`Namespaces`].
    pub slot: u16,
    /// When the record was written, in seconds since 1970.
    written_s: u64,
}

/// Why a record is not used.
#[derive(Debug, thiserror::Error)]
#[error("{key} is no word of letters, digits, dots, hyphens and underscores")]
pub struct NoPod {
    key: &'static str,
}

impl Pod {
    /// The pod of a record that was parsed.
    ///
    /// # Errors
    /// Names end up in logs and labels: those that no runtime gives are refused.
    pub fn of(record: &PodRecord, namespaces: &mut Namespaces) -> Result<Pod, NoPod> {
        let namespace = word("namespace", record.namespace.as_deref())?;
        let name = word("pod", record.pod.as_deref())?;
        let uid = word("uid", record.uid.as_deref())?;
        // What the node's own processes ask from is no pod's, whatever a record says.
        let node = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        let usable = |ip: &IpAddr| !node.contains(ip) && !ip.is_unspecified() && !ip.is_multicast();
        let addresses = record.addresses.iter().map(IpAddr::to_canonical).filter(usable).collect();
        Ok(Pod {
            slot: namespaces.slot(namespace.as_deref()),
            namespace,
            name,
            uid,
            network: record.network.as_str().into(),
            container: record.container.as_str().into(),
            addresses,
            // All of them parse, or the record would not have.
            search: record.search.iter().filter_map(|domain| domain.parse().ok()).collect(),
            search_from: record.search_from,
            ndots: record.ndots,
            written_s: record.when_unix_s,
        })
    }

    /// By what records are put in order, the oldest first; the rest is for those of one second.
    fn age(&self) -> (u64, &str, &str) {
        (self.written_s, &self.container, &self.network)
    }
}

impl std::fmt::Display for Pod {
    /// `namespace/name`; `-` where the runtime did not say.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let namespace = self.namespace.as_deref().unwrap_or("-");
        write!(f, "{namespace}/{}", self.name.as_deref().unwrap_or("-"))
    }
}

fn word(key: &'static str, text: Option<&str>) -> Result<Option<Box<str>>, NoPod> {
    let good = |text: &str| {
        let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        text.len() <= MAX_WORD && text.bytes().all(byte)
    };
    match text {
        None | Some("") => Ok(None),
        Some(text) if good(text) => Ok(Some(text.into())),
        Some(_) => Err(NoPod { key }),
    }
}

/// All pods at one moment.
#[derive(Debug, Default)]
pub struct Table {
    by_address: HashMap<IpAddr, Arc<Pod>, foldhash::fast::RandomState>,
    records: Vec<Arc<Pod>>,
    pods: usize,
    refused: usize,
    namespaces: Arc<[Box<str>]>,
}

impl Table {
    /// Of the records that are used. Where several have one address, the one that was written last
    /// has it: its predecessor's record has been left behind. `refused` files were no records.
    pub fn new(mut records: Vec<Arc<Pod>>, refused: usize, namespaces: &Namespaces) -> Table {
        records.sort_unstable_by(|a, b| a.age().cmp(&b.age()));
        let mut by_address = HashMap::default();
        let pairs =
            records.iter().rev().flat_map(|pod| pod.addresses.iter().map(move |a| (a, pod)));
        for (address, pod) in pairs.take(MAX_ALL_ADDRESSES) {
            by_address.entry(*address).or_insert_with(|| Arc::clone(pod));
        }
        let pods = records.iter().map(|pod| &pod.container).collect::<HashSet<_>>().len();
        Table { by_address, records, pods, refused, namespaces: namespaces.names() }
    }

    /// The pod behind a client's address.
    #[inline]
    pub fn find(&self, client: IpAddr) -> Option<&Arc<Pod>> {
        if self.by_address.is_empty() {
            return None;
        }
        self.by_address.get(&client.to_canonical())
    }

    /// How many pods there are; one in several networks counts once.
    pub fn len(&self) -> usize {
        self.pods
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pods == 0
    }

    /// A pod per record, the oldest first.
    pub fn records(&self) -> &[Arc<Pod>] {
        &self.records
    }

    /// Files that are called like records and are none.
    pub fn refused(&self) -> usize {
        self.refused
    }

    /// Names of the counters by namespace, by their slots.
    pub fn namespaces(&self) -> &[Box<str>] {
        &self.namespaces
    }
}

/// The pods as all threads know them.
#[derive(Debug, Default)]
pub struct Known {
    table: ArcSwap<Table>,
    /// Tables that a thread may still hold. Kept here so that none of those that serve clients is the
    /// last to hold one and spends its time on taking it apart. As many as there are threads at most:
    /// each holds one.
    old: Mutex<Vec<Arc<Table>>>,
}

impl Known {
    /// The present table.
    pub fn load(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Replaces the table.
    pub(crate) fn store(&self, table: Table) {
        let old = self.table.swap(Arc::new(table));
        self.old.lock().unwrap_or_else(PoisonError::into_inner).push(old);
        self.tidy();
    }

    /// Takes apart the tables that nobody holds any more.
    pub(crate) fn tidy(&self) {
        let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
        old.retain(|table| Arc::strong_count(table) > 1);
    }
}

#[cfg(test)]
mod tests;
