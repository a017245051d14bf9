//! Questions worth asking the demo, as commands to copy.
//!
//! It owns the list and its printing; what the answers are is the zones' affair, and a test asks
//! the servers every one of them.

use std::fmt::Write;
use std::net::SocketAddr;

/// A question and what its answer shows.
pub(super) struct Try {
    /// Options of dig, then the name and the type as dig takes them.
    pub question: &'static str,
    /// What to look for.
    pub shows: &'static str,
}

/// Under a heading, some questions.
pub(super) type Group = (&'static str, &'static [Try]);

macro_rules! tries {
    ($($question:literal => $shows:literal),* $(,)?) => {
        &[$(Try { question: $question, shows: $shows }),*]
    };
}

pub(super) const GROUPS: [Group; 5] = [
    (
        "the cluster",
        tries! {
            "api.default.svc.cluster.local A" => "a Service's ClusterIP",
            "api.default.svc.cluster.local AAAA" => "its IPv6 ClusterIP",
            "web.default.svc.cluster.local A" => "a headless Service: every pod's address",
            "web-0.web.default.svc.cluster.local A" => "one pod of a StatefulSet",
            "_http._tcp.web.default.svc.cluster.local SRV" => "a named port, with the pods' addresses",
            "10-244-1-5.default.pod.cluster.local A" => "a pod by its address",
            "-x 10.96.12.7" => "the way back, through a /12",
        },
    ),
    (
        "the tailnet, and the borders between horizons",
        tries! {
            "db.c.binrc.com A" => "a tailnet host",
            "-x 100.64.0.10" => "and its name",
            "vpn-db.default.svc.cluster.local A" => "ExternalName into the tailnet: alias and address in one answer",
            "xcluster.local A" => "NXDOMAIN of the internet: it is not under cluster.local",
            "nobody.c.binrc.com A" => "NXDOMAIN, made of the tailnet's SERVFAIL",
        },
    ),
    (
        "the internet",
        tries! {
            "+tcp www.example.com A" => "over TCP",
            "cdn.example.com A" => "a chain of aliases",
            "www.example.com HTTPS" => "a service binding",
            "+ignore big.example.com TXT" => "too large for UDP: tc, and what fits",
            "big.example.com TXT" => "all of it, over TCP",
            "many.example.com A" => "30 addresses",
            "n42.bulk.example A" => "one of a billion names, for load tests",
        },
    ),
    (
        "what is not there",
        tries! {
            "nothing.default.svc.cluster.local A" => "NXDOMAIN, kept 5 s",
            "v4only.default.svc.cluster.local AAAA" => "NODATA, kept 5 s",
            "nothing.example.com A" => "NXDOMAIN, kept 60 s",
        },
    ),
    (
        "the forwarder itself",
        tries! {
            "+short CH TXT db.c.binrc.com.explain.horizond" => "a name's route, cache and upstream, step by step",
            "+short CH TXT routes.horizond" => "the routes",
            "+short CH TXT upstreams.horizond" => "the upstreams and their health",
            "+short CH TXT cache.horizond" => "the cache",
            "+short CH TXT whoami.horizond" => "who you are to it",
            "+short CH TXT version.bind" => "its version",
            "+nsid api.default.svc.cluster.local A" => "the node's name as NSID",
        },
    ),
];

/// The commands that try the demo at `listen`, each with what it shows. Under each heading the
/// explanations stand in one column.
pub fn tries(listen: SocketAddr) -> String {
    let dig = format!("dig @{} -p {}", listen.ip(), listen.port());
    let mut text = String::new();
    for (heading, tries) in &GROUPS {
        let width = tries.iter().map(|one| one.question.len()).max().unwrap_or(0);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "\n# {heading}");
        for one in *tries {
            let _ = writeln!(text, "{dig} {:width$}  # {}", one.question, one.shows);
        }
    }
    text
}
