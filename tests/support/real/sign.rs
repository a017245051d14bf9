//! Zones signed with ldns' tools.

use std::path::Path;

use super::Ground;
use super::servers::{Zone, tool};
use super::service::checked;

/// How a zone says what does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// RFC 4034.
    Nsec,
    /// RFC 5155, one extra iteration and a salt.
    Nsec3,
}

/// A signed zone.
pub struct Signed {
    pub zone: Zone,
    /// The DS record of its key-signing key (SHA-256), as a line of a zone file.
    pub ds: String,
    /// Its key-signing DNSKEY, as a line of a zone file.
    pub dnskey: String,
}

/// Signs a zone with new keys (ECDSA P-256: small signatures, quickly made). Valid from an hour ago
/// for some weeks, or, where `expired`, until a day ago.
pub fn sign(ground: &Ground, zone: &Zone, denial: Denial, expired: bool) -> Signed {
    let folder = ground.path(&format!("sign-{}", zone.apex));
    std::fs::create_dir_all(&folder).unwrap();
    let plain = folder.join("plain");
    std::fs::write(&plain, &zone.text).unwrap();
    let ksk = keygen(&folder, &zone.apex, true);
    let zsk = keygen(&folder, &zone.apex, false);
    let signed = folder.join("signed");
    let mut command = tool("ldns-signzone");
    command.current_dir(&folder).arg("-f").arg(&signed).args(["-o", &zone.apex]);
    if denial == Denial::Nsec3 {
        command.args(["-n", "-s", "5353", "-t", "1"]);
    }
    if expired {
        command.args(["-i", "20200101000000", "-e", "20200201000000"]);
    }
    checked(command.arg(&plain).args([&zsk, &ksk]));
    let text = std::fs::read_to_string(signed).unwrap();
    let mut command = tool("ldns-key2ds");
    let ds = checked(command.current_dir(&folder).args(["-n", "-2", &format!("{ksk}.key")]));
    let dnskey = std::fs::read_to_string(folder.join(format!("{ksk}.key"))).unwrap();
    let dnskey = dnskey.split(';').next().unwrap().trim().to_owned();
    let zone = Zone { apex: zone.apex.clone(), text };
    Signed { zone, ds: ds.trim().to_owned(), dnskey }
}

/// A new key's base name.
fn keygen(folder: &Path, apex: &str, key_signing: bool) -> String {
    let mut command = tool("ldns-keygen");
    command.current_dir(folder).args(["-a", "ECDSAP256SHA256", "-r", "/dev/urandom"]);
    if key_signing {
        command.arg("-k");
    }
    checked(command.arg(apex)).trim().to_owned()
}
