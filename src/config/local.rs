//! What `[local]` says of names: records, rewritings, and the reverse zones of private addresses.

use std::time::Duration;

use crate::wire::name::Name;

/// The most `[[local.record]]` tables.
pub const MAX_LOCAL_RECORDS: usize = 10_000;
/// The most values of one of them.
pub const MAX_LOCAL_VALUES: usize = 256;
/// The most bytes of all values of one of them as they are sent, so that every answer fits into a
/// message.
pub const MAX_LOCAL_BYTES: usize = 16 << 10;
/// The most `[[local.rewrite]]` tables.
pub const MAX_REWRITES: usize = 10_000;

/// `[[local.record]]`: all records of one name and type. No two have the same name and type, and a
/// CNAME stands alone at its name (RFC 1034, 3.6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRecord {
    /// The owner. One whose first label is `*` stands for the names below the rest (RFC 4592). Never
    /// the root, and never under a name that is answered by rule (see [`is_fixed`]).
    pub name: Name,
    /// A, AAAA, CNAME, TXT, SRV, PTR or MX.
    pub rtype: u16,
    /// RDATA in wire format, names uncompressed; 1..=[`MAX_LOCAL_VALUES`], one for a CNAME.
    pub rdata: Vec<Box<[u8]>>,
    /// 0..=7 d, default 5 min; parts of a second do not count.
    pub ttl: Duration,
}

/// What happens to reverse names of private addresses that no route owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrivateReverse {
    /// Routed like others.
    #[default]
    Forward,
    /// NXDOMAIN here (RFC 6303).
    NxDomain,
}

/// `[[local.rewrite]]`: the name that is asked for in place of another. No two have the same kind
/// and `from`, and no chain of them leads back to where it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// Which names.
    pub kind: RewriteKind,
    /// Never the root.
    pub from: Name,
    /// Never the root.
    pub to: Name,
}

/// Which names a rewriting is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RewriteKind {
    /// `from` alone.
    #[default]
    Exact,
    /// `from` and all names below it.
    Suffix,
}

/// Whether a folded name is one that RFCs answer once and for all, whatever the configuration or a
/// hosts file says: `localhost` and `invalid` (RFC 6761, 6.3 and 6.4), `onion` (RFC 7686, 2), and
/// all below them.
pub fn is_fixed(name: &[u8]) -> bool {
    let last = crate::wire::name::Labels(name).last();
    last.is_some_and(|label| matches!(label, b"localhost" | b"invalid" | b"onion"))
}
