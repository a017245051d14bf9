//! The data of records: from the text of one value to its RDATA.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::diagnostic::quoted;
use super::name;
use crate::wire::name::Name;
use crate::wire::rtype;

/// The types of static records.
pub(super) const TYPES: [(&str, u16); 7] = [
    ("A", rtype::A),
    ("AAAA", rtype::AAAA),
    ("CNAME", rtype::CNAME),
    ("MX", rtype::MX),
    ("PTR", rtype::PTR),
    ("SRV", rtype::SRV),
    ("TXT", rtype::TXT),
];

/// The name of a type.
pub(super) fn type_name(rtype: u16) -> &'static str {
    TYPES.iter().find(|(_, number)| *number == rtype).map_or("?", |(name, _)| name)
}

/// What is wrong with a value, and what would be right.
pub(super) type Wrong = (String, &'static str);

/// RDATA of a value, names uncompressed.
pub(super) fn rdata(rtype: u16, text: &str) -> Result<Vec<u8>, Wrong> {
    match rtype {
        rtype::A => text.parse().map(|a: Ipv4Addr| a.octets().into()).map_err(|_| no_v4(text)),
        rtype::AAAA => match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.octets().into()),
            Err(_) => Err(no_v6(text)),
        },
        rtype::TXT => Ok(strings(text)),
        rtype::MX => numbers_and_name(text, 1, "write PREFERENCE NAME, like \"10 mail.example\""),
        rtype::SRV => {
            let form = "write PRIORITY WEIGHT PORT NAME, like \"0 5 5060 sip.example\"";
            numbers_and_name(text, 3, form)
        }
        // CNAME and PTR.
        _ => target(text, false).map(|name| name.as_wire().into()),
    }
}

fn no_v4(text: &str) -> Wrong {
    let hint = match text.parse::<Ipv6Addr>() {
        Ok(_) => "write it in a record of type AAAA",
        Err(_) => "write an address, like \"10.0.0.7\"",
    };
    (format!("{} is no IPv4 address", quoted(text)), hint)
}

fn no_v6(text: &str) -> Wrong {
    let hint = match text.parse::<Ipv4Addr>() {
        Ok(_) => "write it in a record of type A",
        Err(_) => "write an address without zone and prefix length, like \"fd00::7\"",
    };
    (format!("{} is no IPv6 address", quoted(text)), hint)
}

/// The strings of a TXT record have 255 bytes at most (RFC 1035, 3.3); a longer text goes on in the
/// next.
fn strings(text: &str) -> Vec<u8> {
    if text.is_empty() {
        return vec![0];
    }
    let string = |part: &[u8]| [&[part.len() as u8], part].concat();
    text.as_bytes().chunks(255).flat_map(string).collect()
}

fn numbers_and_name(text: &str, count: usize, form: &'static str) -> Result<Vec<u8>, Wrong> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let Some((last, numbers)) = words.split_last().filter(|(_, front)| front.len() == count) else {
        return Err((format!("{} has not {} words", quoted(text), count + 1), form));
    };
    let mut rdata = Vec::new();
    for word in numbers {
        let plain = word.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = word.parse::<u16>().ok().filter(|_| plain) else {
            return Err((format!("{} is not 0 to 65535", quoted(word)), form));
        };
        rdata.extend(number.to_be_bytes());
    }
    // The root means that there is no such service (RFC 2782; RFC 7505).
    rdata.extend(target(last, true)?.as_wire());
    Ok(rdata)
}

fn target(text: &str, root: bool) -> Result<Name, Wrong> {
    let name = name(text)?;
    let word = text.trim_end_matches('.');
    if word.parse::<Ipv4Addr>().is_ok() || word.parse::<Ipv6Addr>().is_ok() {
        return Err((format!("{} is an address", quoted(text)), "write a name"));
    }
    if name.is_root() && !root {
        return Err(("\".\" is the root".into(), "write the name that is meant"));
    }
    Ok(name)
}
