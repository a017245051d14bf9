//! The redirect of a pod's DNS: which pods, which addresses, and the seam behind which it is done.
//!
//! [`wanted`] is the policy, a plain function. [`Redirector`] does what it says inside a pod's network
//! namespace, which it holds alone meanwhile: a container's attachments share one, and runtimes make them
//! side by side. [`Nft`] is the one of the binary. A namespace is entered on a thread of its own, and
//! never the plugin's own one: rules there would redirect the node.

use std::collections::BTreeMap;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::CniError;
use super::json::shown;
use super::record::NamespaceId;
use super::settings::{Redirect, Settings};
use super::standin::Pair;
use super::types::{OPT_OUT, Runtime};
use crate::node::nft::{NftError, redirect, steer};
use crate::sys;

/// Annotations that say, at ADD already, that something in the pod captures its DNS by NAT, which what
/// is redirected here would go past: Istio's injector leaves the first one, whatever its value, before
/// the pod is scheduled; its ambient mode sets the second one on pods that it has enrolled, which ADD
/// sees only when the sandbox is made anew. Then Kuma's injector, where the sidecar is to answer DNS, and
/// Consul's, whose transparent proxy may.
const CAPTURES_DNS: [(&str, &[&str]); 4] = [
    ("sidecar.istio.io/status", &[]),
    ("ambient.istio.io/redirection", &["enabled"]),
    ("kuma.io/builtin-dns", &["enabled", "true"]),
    ("consul.hashicorp.com/transparent-proxy-status", &[]),
];

/// How long another attachment of the same container may keep its namespace. It takes some 20 ms.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often is looked whether it is free.
const LOOK: Duration = Duration::from_millis(1);

/// Why a redirect could not be made, looked at or removed.
#[derive(Debug, thiserror::Error)]
pub enum RedirectError {
    /// The namespace's file cannot be opened or entered.
    #[error("cannot enter the network namespace {}: {source}", path.display())]
    Enter {
        /// The namespace's path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The namespace is the one that the plugin itself is in.
    #[error("{} is the network namespace of the node", path.display())]
    Node {
        /// The namespace's path.
        path: PathBuf,
    },
    /// There is no such namespace.
    #[error("{}: no such network namespace", path.display())]
    Gone {
        /// The namespace's path.
        path: PathBuf,
    },
    /// Somebody else holds the namespace.
    #[error("{}: locked by another process for more than {PATIENCE:?}", path.display())]
    Held {
        /// The namespace's path.
        path: PathBuf,
    },
    /// The rules of the pod or of the node could not be changed or read.
    #[error(transparent)]
    Rules(#[from] NftError),
    /// What else is redirected in the namespace cannot be told.
    #[error("{}", .0.details())]
    Records(CniError),
}

/// What redirects pods' DNS.
pub trait Redirector {
    /// Opens a pod's network namespace and holds it, alone, until the value is dropped; `None` if there
    /// is none any more.
    ///
    /// # Errors
    /// [`RedirectError::Enter`], [`RedirectError::Node`] and [`RedirectError::Held`].
    fn hold<'a>(&'a self, netns: &Path) -> Result<Option<Box<dyn Namespace + 'a>>, RedirectError>;

    /// Makes sure, on the node, that what will be redirected by these pairs comes to the cluster's DNS
    /// while no daemon answers. `all` are the pairs of all pods of this configuration, which are led with them
    /// where rules are made.
    ///
    /// # Errors
    /// Says why it would not; then nothing has changed.
    fn lead(&self, pairs: &[Pair], all: &[Pair]) -> Result<(), RedirectError>;

    /// Whether that is so; `false` where [`Redirector::lead`] would make it so. Changes nothing.
    ///
    /// # Errors
    /// Says why it would not, or why that cannot be told.
    fn leads(&self, pairs: &[Pair]) -> Result<bool, RedirectError>;
}

/// A pod's network namespace that is held.
pub trait Namespace {
    /// Which one it is.
    fn id(&self) -> NamespaceId;

    /// Has port 53 of each pair's first address lead to its second, in place of what is redirected.
    ///
    /// # Errors
    /// Says what failed; then nothing has changed, unless the kernel did not answer in time.
    fn add(&self, pairs: &[Pair]) -> Result<(), RedirectError>;

    /// Whether exactly this is redirected.
    ///
    /// # Errors
    /// Says why that cannot be told.
    fn present(&self, pairs: &[Pair]) -> Result<bool, RedirectError>;

    /// Ends the redirect; there need be none.
    ///
    /// # Errors
    /// Says what failed.
    fn remove(&self) -> Result<(), RedirectError>;
}

/// Redirects by a table of nf_tables in the pod's network namespace, and leads by one on the node. Needs
/// CAP_SYS_ADMIN and CAP_NET_ADMIN.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nft;

impl Redirector for Nft {
    fn hold<'a>(&'a self, netns: &Path) -> Result<Option<Box<dyn Namespace + 'a>>, RedirectError> {
        Ok(Entrance::open(netns)?.map(|entrance| Box::new(entrance) as Box<dyn Namespace>))
    }

    fn lead(&self, pairs: &[Pair], all: &[Pair]) -> Result<(), RedirectError> {
        steer::ensure_fallback(pairs, all)?;
        Ok(())
    }

    fn leads(&self, pairs: &[Pair]) -> Result<bool, RedirectError> {
        Ok(steer::has_fallback(pairs)?)
    }
}

impl Namespace for Entrance {
    fn id(&self) -> NamespaceId {
        self.id
    }

    fn add(&self, pairs: &[Pair]) -> Result<(), RedirectError> {
        self.within(|| Ok(redirect::add(pairs)?))
    }

    fn present(&self, pairs: &[Pair]) -> Result<bool, RedirectError> {
        self.within(|| Ok(redirect::present(pairs)?))
    }

    fn remove(&self) -> Result<(), RedirectError> {
        self.within(|| Ok(redirect::remove()?)).map(|_| ())
    }
}

/// What is to be done with a pod's DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The pod's own word, else the configuration's.
    pub redirect: Redirect,
    /// What is redirected: nothing where `redirect` is off, something else captures the pod's DNS, or
    /// none of the cluster's DNS addresses is its own.
    pub pairs: Vec<Pair>,
    /// What the pod says that means nothing; for people.
    pub warning: Option<String>,
}

/// What is to be redirected for a pod: for those of the cluster's DNS addresses that are its
/// nameservers, or for all of them where the runtime does not tell which it has. The pod's annotation
/// counts more than the configuration, and something else that captures its DNS more than both. A word of
/// the pod's that is not known keeps it from nothing: it is as if it had not been said.
pub fn wanted(settings: &Settings, runtime: &Runtime) -> Wanted {
    let (own, warning) = match runtime.said().map(str::parse) {
        None => (None, None),
        Some(Ok(own)) => (Some(own), None),
        Some(Err(())) => (None, runtime.said().map(misspelt)),
    };
    let redirect = own.unwrap_or(settings.redirect);
    let left_alone = redirect == Redirect::Off || captures_dns(&runtime.annotations);
    let pairs = if left_alone { vec![] } else { own_pairs(settings, runtime) };
    Wanted { redirect, pairs, warning }
}

fn misspelt(said: &str) -> String {
    format!(
        "the pod's annotation {OPT_OUT} is {}, which is none of {}: taken as not there",
        shown(said),
        Redirect::WORDS
    )
}

fn own_pairs(settings: &Settings, runtime: &Runtime) -> Vec<Pair> {
    let told = runtime.dns.as_ref().map(|dns| dns.nameservers.as_slice()).unwrap_or_default();
    // One that is no address (with a zone, say) is none of the cluster's.
    let servers: Vec<IpAddr> = told
        .iter()
        .filter_map(|server| server.parse().ok())
        .map(|ip: IpAddr| ip.to_canonical())
        .collect();
    let asked = |(cluster_dns, _): &&Pair| told.is_empty() || servers.contains(cluster_dns);
    settings.pairs.iter().filter(asked).copied().collect()
}

fn captures_dns(annotations: &BTreeMap<String, String>) -> bool {
    CAPTURES_DNS.iter().any(|(key, values)| {
        let found = annotations.get(*key).map(String::as_str);
        found.is_some_and(|value| values.is_empty() || values.contains(&value))
    })
}

/// A network namespace that is open, locked, and not this process' own.
#[derive(Debug)]
struct Entrance {
    path: PathBuf,
    file: File,
    id: NamespaceId,
}

impl Entrance {
    /// Opens the file of a namespace and locks it; `None` if there is none.
    fn open(path: &Path) -> Result<Option<Entrance>, RedirectError> {
        let failed = |source| RedirectError::Enter { path: path.to_owned(), source };
        // O_NONBLOCK: opening a pipe would wait for a writer.
        let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let id = id_of(&file.metadata().map_err(failed)?);
        if id == id_of(&std::fs::metadata("/proc/self/ns/net").map_err(failed)?) {
            return Err(RedirectError::Node { path: path.to_owned() });
        }
        let end = Instant::now() + PATIENCE;
        while !sys::try_lock(&file).map_err(failed)? {
            if Instant::now() >= end {
                return Err(RedirectError::Held { path: path.to_owned() });
            }
            std::thread::sleep(LOOK);
        }
        Ok(Some(Entrance { path: path.to_owned(), file, id }))
    }

    /// Does `work` in the namespace, on a thread of its own.
    fn within<T: Send>(
        &self,
        work: impl FnOnce() -> Result<T, RedirectError> + Send,
    ) -> Result<T, RedirectError> {
        let failed = |source| RedirectError::Enter { path: self.path.clone(), source };
        std::thread::scope(|scope| {
            let builder = std::thread::Builder::new().name("netns".into());
            let thread = builder.spawn_scoped(scope, || {
                sys::enter_network_namespace(&self.file).map_err(failed)?;
                work()
            });
            match thread.map_err(failed)?.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn id_of(about: &Metadata) -> NamespaceId {
    NamespaceId(about.dev(), about.ino())
}

#[cfg(test)]
mod tests;
