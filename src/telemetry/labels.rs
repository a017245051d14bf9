//! The label values of the metrics, as small numbers.
//!
//! Each enum is both an index into the counters and, at scrape, a text. Anything a client chooses
//! (type, rcode of an upstream) is mapped to a fixed, short list with `other` at its end, so that
//! no client can make series.

/// An enum whose variants are label values, numbered from 0.
macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of their numbers.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];
            /// How many values there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label value.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
    };
}

labels! {
    /// How a client's query came.
    Proto {
        /// A datagram.
        Udp = "udp",
        /// A message of a TCP connection.
        Tcp = "tcp",
    }
}

labels! {
    /// The client's address family.
    Family {
        /// IPv4, and IPv4-mapped IPv6.
        V4 = "ipv4",
        /// IPv6.
        V6 = "ipv6",
    }
}

impl Family {
    /// The family of a client's address.
    #[inline]
    pub fn of(addr: &std::net::SocketAddr) -> Family {
        match addr.ip().to_canonical() {
            std::net::IpAddr::V4(_) => Family::V4,
            std::net::IpAddr::V6(_) => Family::V6,
        }
    }
}

labels! {
    /// What sort of entry the cache holds.
    Kind {
        /// Data.
        Positive = "positive",
        /// NXDOMAIN or NODATA (RFC 2308).
        Negative = "negative",
        /// A remembered failure (RFC 9520).
        Failure = "failure",
    }
}

impl From<crate::answer::Kind> for Kind {
    #[inline]
    fn from(kind: crate::answer::Kind) -> Kind {
        match kind {
            crate::answer::Kind::Positive => Kind::Positive,
            crate::answer::Kind::Negative => Kind::Negative,
            crate::answer::Kind::Failure => Kind::Failure,
        }
    }
}

/// Where an answer came from. Cache answers carry their kind, so that one counter serves both
/// `horizond_responses_total` and `horizond_cache_hits_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A fresh entry.
    Cache(Kind),
    /// An expired entry (RFC 8767).
    Stale(Kind),
    /// An exchange, its own or a joined one; also the failure after exchanges that failed.
    Upstream,
    /// Static or special-use data; no upstream is needed.
    Local,
    /// Policy: ACL, malformed, not implemented, shed.
    Refused,
}

impl Source {
    /// The label value of each [`Source::index`].
    pub const LABELS: [&'static str; 5] = ["cache", "stale", "upstream", "local", "refused"];
    /// How many different [`Source::cell`]s there are.
    pub const CELLS: usize = 2 * Kind::COUNT + 3;

    /// 0..5, without the kind.
    #[inline]
    pub const fn index(self) -> usize {
        match self {
            Source::Cache(_) => 0,
            Source::Stale(_) => 1,
            Source::Upstream => 2,
            Source::Local => 3,
            Source::Refused => 4,
        }
    }

    /// 0..[`Source::CELLS`], kinds apart.
    #[inline]
    pub const fn cell(self) -> usize {
        match self {
            Source::Cache(kind) => kind as usize,
            Source::Stale(kind) => Kind::COUNT + kind as usize,
            Source::Upstream => 2 * Kind::COUNT,
            Source::Local => 2 * Kind::COUNT + 1,
            Source::Refused => 2 * Kind::COUNT + 2,
        }
    }

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        Self::LABELS[self.index()]
    }
}

labels! {
    /// Why a packet or connection got no answer at all.
    DropReason {
        /// Shorter than a header.
        Short = "short",
        /// QR=1: a response; answering it would let two servers talk forever.
        Response = "response",
        /// Outside the ACL, where the config asks for silence.
        Denied = "denied",
        /// Longer than the receive buffer.
        Oversize = "oversize",
        /// A source nobody can answer: port 0, or our own listening address.
        Source = "source",
        /// The kernel would not send the answer.
        SendFailed = "send_failed",
        /// A TCP client left, or its message did not come in time.
        Aborted = "aborted",
        /// A TCP client did not take its answer in time.
        SlowClient = "slow_client",
    }
}

labels! {
    /// What became of a walk along a pod's search list.
    Autopath {
        /// A name exists, and the answer is an alias to it.
        Found = "found",
        /// No name of the list exists, nor the name itself.
        Nowhere = "nowhere",
        /// The pod has to go on by itself.
        GivenUp = "given_up",
    }
}

labels! {
    /// Which ceiling turned a query, a client or a line away.
    ShedReason {
        /// `[listen] in_flight`: exchanges in flight.
        InFlight = "in_flight",
        /// `[listen] waiting`: clients waiting for exchanges.
        Waiting = "waiting",
        /// `[listen.tcp] connections`.
        TcpConnections = "tcp_connections",
        /// `[listen.tcp] per_client`.
        TcpPerClient = "tcp_per_client",
        /// Answers waiting for TCP clients that do not take them.
        TcpUnsent = "tcp_unsent",
        /// `[admit] rate`: questions of one client.
        Rate = "rate",
        /// An upstream's own ceiling: sockets or ids all in use.
        Upstream = "upstream",
        /// Connections of the admin endpoints.
        AdminConnections = "admin_connections",
        /// Lines of the query log.
        QueryLog = "query_log",
    }
}

/// Query types that have a label of their own; every other is `other`.
const TYPES: [(u16, &str); 17] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (35, "NAPTR"),
    (43, "DS"),
    (48, "DNSKEY"),
    (52, "TLSA"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (255, "ANY"),
    (257, "CAA"),
];

/// Label values of query types; the last is `other`.
pub const TYPE_COUNT: usize = TYPES.len() + 1;

/// From a type's number to its label, for the numbers up to that of CAA.
static TYPE_TABLE: [u8; 258] = type_table();

const fn type_table() -> [u8; 258] {
    let mut table = [TYPES.len() as u8; 258];
    let mut at = 0;
    while at < TYPES.len() {
        table[TYPES[at].0 as usize] = at as u8;
        at += 1;
    }
    table
}

/// 0..[`TYPE_COUNT`] of a query type.
#[inline]
pub fn type_index(qtype: u16) -> usize {
    TYPE_TABLE.get(usize::from(qtype)).map_or(TYPES.len(), |&index| usize::from(index))
}

/// The label value of a type's index.
pub fn type_label(index: usize) -> &'static str {
    TYPES.get(index).map_or("other", |&(_, text)| text)
}

/// Label values of rcodes (RFC 6895, 2.3; BADVERS is 16); the last is `other`.
const RCODES: [&str; 8] =
    ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "BADVERS", "other"];
/// How many rcodes are told apart.
pub const RCODE_COUNT: usize = RCODES.len();

/// 0..[`RCODE_COUNT`] of an rcode, extended ones included.
#[inline]
pub fn rcode_index(rcode: u16) -> usize {
    match rcode {
        0..=5 => usize::from(rcode),
        16 => 6,
        _ => RCODE_COUNT - 1,
    }
}

/// The label value of an rcode's index.
pub fn rcode_label(index: usize) -> &'static str {
    RCODES.get(index).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_known_and_other() {
        for (number, text) in TYPES {
            assert_eq!(type_label(type_index(number)), text);
        }
        for number in [0, 3, 10, 256, 258, 65535] {
            assert_eq!(type_label(type_index(number)), "other", "{number}");
        }
    }

    #[test]
    fn rcodes_known_and_other() {
        let seen: Vec<_> = [0, 1, 2, 3, 4, 5, 16, 6, 15, 17, 4095, 65535]
            .map(|rcode| rcode_label(rcode_index(rcode)))
            .into();
        assert_eq!(seen[..7], RCODES[..7]);
        assert!(seen[7..].iter().all(|&text| text == "other"));
    }

    #[test]
    fn sources_have_cells_of_their_own() {
        let kinds = Kind::ALL.iter().copied();
        let all: Vec<_> = kinds
            .clone()
            .map(Source::Cache)
            .chain(kinds.map(Source::Stale))
            .chain([Source::Upstream, Source::Local, Source::Refused])
            .collect();
        let cells: Vec<_> = all.iter().map(|source| source.cell()).collect();
        assert_eq!(cells, (0..Source::CELLS).collect::<Vec<_>>());
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        for (text, family) in [
            ("10.0.0.1:1", Family::V4),
            ("[::ffff:10.0.0.1]:1", Family::V4),
            ("[fd00::1]:1", Family::V6),
        ] {
            assert_eq!(text.parse().map(|addr| Family::of(&addr)), Ok(family), "{text}");
        }
    }
}
