//! The redirect of a pod's DNS: which pods, which addresses, and the seam behind which it is done.
//!
//! [`wanted`] is the policy, a plain function. [`Redirector`] does what it says inside a pod's network
//! namespace; [`Nft`] is the one of the binary. A namespace is entered on a thread of its own, and
//! never the plugin's own one: rules there would redirect the node.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::settings::{Redirect, Settings};
use super::standin::Pair;
use super::types::Runtime;
use crate::node::nft::{NftError, redirect};
use crate::sys;

/// Annotations that say, at ADD already, that something in the pod captures its DNS by NAT, which what
/// is redirected here would go past: Istio's injector leaves the first one, whatever its value, before
/// the pod is scheduled; its ambient mode sets the second one on pods that it has enrolled, which ADD
/// sees only when the sandbox is made anew.
const CAPTURES_DNS: [(&str, Option<&str>); 2] =
    [("sidecar.istio.io/status", None), ("ambient.istio.io/redirection", Some("enabled"))];

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
    /// The rules could not be changed or read.
    #[error(transparent)]
    Rules(#[from] NftError),
}

/// What redirects pods' DNS.
pub trait Redirector {
    /// Has port 53 of each pair's first address lead to its second in the namespace, in place of what is
    /// redirected there.
    ///
    /// # Errors
    /// Says what failed; then nothing has changed.
    fn add(&self, netns: &Path, pairs: &[Pair]) -> Result<(), RedirectError>;

    /// Whether exactly this is redirected there.
    ///
    /// # Errors
    /// Says why that cannot be told.
    fn present(&self, netns: &Path, pairs: &[Pair]) -> Result<bool, RedirectError>;

    /// Ends the redirect there; there need be none, nor a namespace.
    ///
    /// # Errors
    /// Says what failed.
    fn remove(&self, netns: &Path) -> Result<(), RedirectError>;
}

/// Redirects by a table of nf_tables in the pod's network namespace. Needs CAP_SYS_ADMIN and
/// CAP_NET_ADMIN.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nft;

impl Redirector for Nft {
    fn add(&self, netns: &Path, pairs: &[Pair]) -> Result<(), RedirectError> {
        let gone = || RedirectError::Gone { path: netns.to_owned() };
        within(netns, || Ok(redirect::add(pairs)?))?.ok_or_else(gone)
    }

    fn present(&self, netns: &Path, pairs: &[Pair]) -> Result<bool, RedirectError> {
        Ok(within(netns, || Ok(redirect::present(pairs)?))?.unwrap_or(false))
    }

    fn remove(&self, netns: &Path) -> Result<(), RedirectError> {
        within(netns, || Ok(redirect::remove()?)).map(|_| ())
    }
}

/// What is to be redirected for a pod: for those of the cluster's DNS addresses that are its
/// nameservers, or for all of them where the runtime does not tell which it has. Nothing where the
/// configuration, the pod's annotations or a sidecar's say so.
pub fn wanted(settings: &Settings, runtime: &Runtime) -> Vec<Pair> {
    let off = settings.redirect == Redirect::Off;
    if off || runtime.is_opted_out() || captures_dns(&runtime.annotations) {
        return vec![];
    }
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
    CAPTURES_DNS.iter().any(|(key, wanted)| {
        annotations.get(*key).is_some_and(|value| wanted.is_none_or(|wanted| value == wanted))
    })
}

/// Does `work` in a network namespace, on a thread of its own; `None` if there is no such namespace
/// any more.
///
/// # Errors
/// [`RedirectError::Enter`] and [`RedirectError::Node`]; and what `work` says.
pub fn within<T: Send>(
    netns: &Path,
    work: impl FnOnce() -> Result<T, RedirectError> + Send,
) -> Result<Option<T>, RedirectError> {
    let failed = |source| RedirectError::Enter { path: netns.to_owned(), source };
    // O_NONBLOCK: opening a pipe would wait for a writer.
    let file = match OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(netns) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_ours(&file).map_err(failed)? {
        return Err(RedirectError::Node { path: netns.to_owned() });
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("netns".into());
        let thread = builder.spawn_scoped(scope, || {
            sys::enter_network_namespace(&file).map_err(failed)?;
            work()
        });
        match thread.map_err(failed)?.join() {
            Ok(done) => done.map(Some),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Whether an open file is this process' own network namespace.
fn is_ours(file: &File) -> io::Result<bool> {
    let (own, other) = (std::fs::metadata("/proc/self/ns/net")?, file.metadata()?);
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests;
