//! What the records say of redirects: where the pods of this node send their DNS.
//!
//! Read whole, once, by whoever is about to change the node's rules: a redirect lives as long as its pod,
//! whatever becomes of the daemon and its configuration.

use std::collections::HashSet;
use std::path::Path;

use crate::cni::error::CniError;
use crate::cni::records::Records;
use crate::cni::standin::Pair;

/// The redirects of a directory of records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redirected {
    /// Records.
    pub records: usize,
    /// Files that are called like records and are none.
    pub damaged: usize,
    /// Records of pods whose DNS is redirected.
    pub redirected: usize,
    /// Cluster DNS address and stand-in of all of them, each once, sorted.
    pub pairs: Vec<Pair>,
}

impl Redirected {
    /// Reads the directory, which need not be there. Blocks for as long as the file system does.
    ///
    /// # Errors
    /// [`CniError::Io`] where the directory is there and cannot be read.
    pub fn read(dir: &Path) -> Result<Redirected, CniError> {
        let listing = Records::new(dir).list("")?;
        let redirects = || listing.records.iter().map(|(_, record)| &record.redirect);
        let pairs: HashSet<Pair> = redirects().flatten().copied().collect();
        let mut pairs: Vec<Pair> = pairs.into_iter().collect();
        pairs.sort_unstable();
        Ok(Redirected {
            records: listing.records.len(),
            damaged: listing.damaged.len(),
            redirected: redirects().filter(|redirect| !redirect.is_empty()).count(),
            pairs,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn redirects_are_gathered_from_all_records() {
        let dir = tempfile::tempdir().unwrap();
        let record = |id: &str, redirect: &str| {
            let text = format!(
                r#"{{"version":1,"network":"n","container":"{id}","interface":"eth0",
                    "netns":"/run/netns/x","redirect":[{redirect}],"when_unix_s":1}}"#
            );
            std::fs::write(dir.path().join(format!("n_{id}_eth0.json")), text).unwrap();
        };
        let (v4, v6) = (r#"["10.96.0.10","169.254.20.11"]"#, r#"["fd00::a","fd00:5353::11"]"#);
        record("a", v4);
        record("b", &format!("{v6},{v4}"));
        record("c", "");
        std::fs::write(dir.path().join("n_d_eth0.json"), "{").unwrap();
        let found = Redirected::read(dir.path()).unwrap();
        assert_eq!((found.records, found.damaged, found.redirected), (3, 1, 2));
        let pair = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
        let all = [pair("10.96.0.10", "169.254.20.11"), pair("fd00::a", "fd00:5353::11")];
        assert_eq!(found.pairs, all);
        let none = Redirected::read(&dir.path().join("none")).unwrap();
        assert_eq!(none, Redirected::default());
    }
}
