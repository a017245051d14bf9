//! What somebody has changed on the way is refused by the validator behind the daemon.

use crate::delv::{Delv, Verdict};
use crate::real::Ground;
use crate::real::servers::{horizond, nsd};
use crate::real::sign::Denial;
use crate::zones::{Family, PARENT, family};

/// Changes lines of the signed parent: each gives itself, another one, or nothing.
fn change(family: &mut Family, change: impl Fn(&str) -> Option<String>) {
    let zone = family.zones.iter_mut().find(|zone| zone.apex == PARENT).unwrap();
    let lines: Vec<String> = zone.text.lines().filter_map(change).collect();
    let text = lines.join("\n") + "\n";
    assert_ne!(text, zone.text, "something was changed");
    zone.text = text;
}

fn walk(denial: Denial, refused: &[(&str, &str)], tamper: impl Fn(&str) -> Option<String>) {
    let ground = Ground::new();
    let mut family = family(&ground, denial);
    change(&mut family, tamper);
    let authority = nsd(&ground, &family.zones);
    let daemon = horizond(&ground, &[("", authority.addr)], PARENT);
    let delv = Delv::new(&ground, daemon.addr, &family.anchor);
    for transport in ["+notcp", "+tcp"] {
        for (name, rtype) in refused {
            // Cold and out of the cache.
            delv.expect(name, rtype, transport, Verdict::Refused);
            delv.expect(name, rtype, transport, Verdict::Refused);
        }
        // The rest of the zone is as it was.
        delv.expect("ns", "A", transport, Verdict::Secure);
    }
}

fn is(line: &str, owner: &str, rtype: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some(&format!("{owner}.{PARENT}.")) && words.nth(2) == Some(rtype)
}

#[test]
fn another_address() {
    let refused = [("www", "A"), ("alias", "A"), ("any.wilder", "A")];
    walk(Denial::Nsec, &refused, |line| match is(line, "www", "A") {
        true => Some(line.replace("192.0.2.80", "192.0.2.66")),
        false => Some(line.to_owned()),
    });
}

#[test]
fn a_record_more_and_a_signature_less() {
    let refused = [("large", "TXT"), ("www", "AAAA")];
    walk(Denial::Nsec3, &refused, |line| {
        if is(line, "large", "TXT") && line.contains("\"7 x") {
            return Some(format!("{line}\n{}", line.replace("\"7 x", "\"added x")));
        }
        let signature = is(line, "www", "RRSIG") && line.contains("RRSIG\tAAAA");
        (!signature).then(|| line.to_owned())
    });
}

#[test]
fn another_key_in_the_ds() {
    let refused = [("secure", "DS"), ("www.secure", "A"), ("nowhere.secure", "A")];
    walk(Denial::Nsec, &refused, |line| {
        let Some((front, digest)) =
            line.rsplit_once(['\t', ' ']).filter(|_| is(line, "secure", "DS"))
        else {
            return Some(line.to_owned());
        };
        let changed = if digest.starts_with('0') { "1" } else { "0" };
        Some(format!("{front} {changed}{}", &digest[1..]))
    });
}

#[test]
fn a_type_more_in_every_denial() {
    let refused = [("nowhere", "A"), ("www", "MX"), ("any.wild", "A")];
    walk(Denial::Nsec, &refused, |line| match line.contains("\tNSEC\t") {
        true => Some(line.replace(" RRSIG NSEC", " SSHFP RRSIG NSEC")),
        false => Some(line.to_owned()),
    });
}
