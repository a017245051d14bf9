//! What each table of the configuration is when the file says nothing. The reasons for the numbers
//! stand beside them in `config/horizond.toml`, whose values a test compares with these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Admin, Admit, Cache, Config, Listen, Local, Node, Over, Pods, Prefix, PrivateReverse, Refuse,
    SingleLabel, Source, Tcp,
};

const DAY: Duration = Duration::from_secs(86_400);

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            addresses: vec![SocketAddr::from(([169, 254, 20, 10], 53))],
            shards: None,
            receive_buffer: 4 << 20,
            in_flight: 16_384,
            waiting: 65_536,
            drain: Duration::from_secs(5),
            tcp: Tcp::default(),
        }
    }
}

impl Default for Tcp {
    fn default() -> Tcp {
        Tcp {
            connections: 1024,
            per_client: 64,
            pipeline: 128,
            idle: Duration::from_secs(10),
            read: Duration::from_secs(3),
            write: Duration::from_secs(5),
        }
    }
}

impl Default for Node {
    fn default() -> Node {
        Node {
            interface: None,
            leave_on_exit: false,
            notrack: false,
            steer: Vec::new(),
            cluster_dns: vec![IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10))],
            stand_ins: Vec::new(),
            name: None,
        }
    }
}

impl Default for Cache {
    fn default() -> Cache {
        Cache {
            memory: 64 << 20,
            stale: DAY,
            stale_after: Duration::from_millis(1800),
            prefetch: true,
            front: 16_384,
        }
    }
}

impl Default for Admit {
    fn default() -> Admit {
        let mut allow = vec![Source::Node];
        allow.extend(PRIVATE_RANGES.map(Source::Prefix));
        Admit {
            allow,
            debug: vec![Source::Node],
            refuse: Refuse::default(),
            rate: 0,
            burst: 1000,
            over: Over::default(),
            rate_table: 65_536,
            cookie_secret: None,
        }
    }
}

impl Default for Local {
    fn default() -> Local {
        Local {
            single_label: SingleLabel::default(),
            private_reverse: PrivateReverse::default(),
            hosts: None,
            hosts_ttl: Duration::from_secs(60),
            records: Vec::new(),
            rewrites: Vec::new(),
        }
    }
}

impl Default for Pods {
    fn default() -> Pods {
        let dir = Some(PathBuf::from("/run/horizond/pods"));
        Pods { dir, metrics: false, namespaces: 64, autopath: false }
    }
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            address: Some(SocketAddr::from(([127, 0, 0, 1], 9253))),
            control: Some(PathBuf::from("/run/horizond/control.sock")),
        }
    }
}

/// RFC 1918, 6598, 3927, 4193 and loopback.
const PRIVATE_RANGES: [Prefix; 8] = [
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v4([169, 254, 0, 0], 16),
    v4([127, 0, 0, 0], 8),
    Prefix { addr: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), len: 7 },
    Prefix { addr: IpAddr::V6(Ipv6Addr::LOCALHOST), len: 128 },
];

const fn v4([a, b, c, d]: [u8; 4], len: u8) -> Prefix {
    Prefix { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), len }
}

impl Config {
    /// FNV-1a, 64 bits, of a configuration file's bytes: what [`Config::hash`] holds. It tells two
    /// files apart by accident, not against malice.
    pub fn hash_of(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_has_the_published_values() {
        assert_eq!(Config::hash_of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Config::hash_of(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Config::hash_of(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
