//! A signed parent with signed and unsigned children.

use std::fmt::Write;

use crate::real::Ground;
use crate::real::servers::Zone;
use crate::real::sign::{Denial, sign};

/// The apex of the parent, whose key is the trust anchor.
pub const PARENT: &str = "signed.example";

/// What the tests need of the zones.
pub struct Family {
    pub zones: Vec<Zone>,
    /// The parent's DS record.
    pub ds: String,
    /// delv's file of trust anchors.
    pub anchor: String,
}

fn zone(apex: &str, more: &str) -> Zone {
    // Long enough that answers about it do not fit into 512 bytes, and into 1232 bytes.
    let large: String =
        (0..40).map(|i| format!("large TXT \"{i} {}\"\n", "x".repeat(60))).collect();
    let text = format!(
        "$ORIGIN {apex}.\n$TTL 3600\n@ IN SOA ns hostmaster 1 7200 3600 1209600 600\n@ NS ns\n\
         ns A 192.0.2.53\nwww A 192.0.2.80\nwww AAAA 2001:db8::80\nalias CNAME www\n\
         *.wild A 192.0.2.81\n*.wilder CNAME www\na.ent TXT \"below an empty non-terminal\"\n\
         old DNAME new\nx.new A 192.0.2.82\n{large}{more}"
    );
    Zone { apex: apex.into(), text }
}

/// The parent with this denial; below it `secure` with the other one, `insecure` without signatures, and
/// `expired`, whose signatures have run out.
pub fn family(ground: &Ground, denial: Denial) -> Family {
    let other = if denial == Denial::Nsec { Denial::Nsec3 } else { Denial::Nsec };
    let secure = sign(ground, &zone(&format!("secure.{PARENT}"), ""), other, false);
    let expired = sign(ground, &zone(&format!("expired.{PARENT}"), ""), other, true);
    let insecure = zone(&format!("insecure.{PARENT}"), "");
    let mut delegations = String::new();
    for child in ["secure", "expired", "insecure"] {
        writeln!(delegations, "{child} NS ns.{child}\nns.{child} A 192.0.2.53").unwrap();
    }
    writeln!(delegations, "{}\n{}", secure.ds, expired.ds).unwrap();
    writeln!(delegations, "to-child CNAME www.secure").unwrap();
    let parent = sign(ground, &zone(PARENT, &delegations), denial, false);
    let fields: Vec<&str> = parent.dnskey.split_whitespace().collect();
    let at = fields.iter().position(|field| *field == "DNSKEY").unwrap();
    let [flags, protocol, algorithm] = [1, 2, 3].map(|i| fields[at + i]);
    let key = fields[at + 4..].concat();
    let anchor = format!(
        "trust-anchors {{ {PARENT}. static-key {flags} {protocol} {algorithm} \"{key}\"; }};\n"
    );
    let zones = vec![parent.zone, secure.zone, expired.zone, insecure];
    Family { zones, ds: parent.ds, anchor }
}
