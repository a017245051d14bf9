//! Names, types, response codes and record data between their text and their bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::message::read_name;

const TYPES: [(&str, u16); 26] = [
    ("A", 1),
    ("NS", 2),
    ("CNAME", 5),
    ("SOA", 6),
    ("PTR", 12),
    ("HINFO", 13),
    ("MX", 15),
    ("TXT", 16),
    ("AAAA", 28),
    ("SRV", 33),
    ("DNAME", 39),
    ("OPT", 41),
    ("DS", 43),
    ("RRSIG", 46),
    ("DNSKEY", 48),
    ("SVCB", 64),
    ("HTTPS", 65),
    ("TKEY", 249),
    ("TSIG", 250),
    ("IXFR", 251),
    ("AXFR", 252),
    ("MAILB", 253),
    ("MAILA", 254),
    ("ANY", 255),
    ("CAA", 257),
    ("NAPTR", 35),
];

const RCODES: [(&str, u16); 10] = [
    ("NOERROR", 0),
    ("FORMERR", 1),
    ("SERVFAIL", 2),
    ("NXDOMAIN", 3),
    ("NOTIMP", 4),
    ("REFUSED", 5),
    ("YXDOMAIN", 6),
    ("NOTAUTH", 9),
    ("BADVERS", 16),
    ("BADCOOKIE", 23),
];

fn find(table: &[(&str, u16)], name: &str) -> Option<u16> {
    table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn find_name(table: &[(&str, u16)], number: u16, prefix: &str) -> String {
    let known = table.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| format!("{prefix}{number}"), |(name, _)| (*name).to_owned())
}

pub fn type_of(name: &str) -> Result<u16, String> {
    find(&TYPES, name)
        .or_else(|| name.strip_prefix("TYPE")?.parse().ok())
        .ok_or_else(|| format!("{name} is no type"))
}

pub fn type_name(number: u16) -> String {
    find_name(&TYPES, number, "TYPE")
}

pub fn rcode_of(name: &str) -> Option<u16> {
    find(&RCODES, name)
}

pub fn rcode_name(number: u16) -> String {
    find_name(&RCODES, number, "RCODE")
}

/// The wire format of a name, case kept.
pub fn name(text: &str) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    for label in text.trim_end_matches('.').split('.').filter(|label| !label.is_empty()) {
        let len = u8::try_from(label.len()).ok().filter(|len| *len < 64);
        wire.push(len.ok_or_else(|| format!("{label} is too long for a label"))?);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    Ok(wire)
}

/// Bytes written in hexadecimal.
pub fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digit = |c: u8| char::from(c).to_digit(16).ok_or_else(|| format!("{text} is not hex"));
    if !text.len().is_multiple_of(2) {
        return Err(format!("{text} has half a byte"));
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
        .collect()
}

/// Bytes written in hexadecimal, `HEX*N` standing for N times the same.
pub fn tail(text: &str) -> Result<Vec<u8>, String> {
    let (bytes, times) = text.split_once('*').unwrap_or((text, "1"));
    let times: usize = times.parse().map_err(|_| "HEX*TIMES")?;
    Ok(hex(bytes)?.repeat(times))
}

/// What the fields of a type's data are, in their order.
fn fields(rtype: u16) -> &'static str {
    match rtype {
        1 => "4",
        28 => "6",
        2 | 5 | 12 | 39 => "n",
        6 => "nnlllll",
        15 => "sn",
        33 => "sssn",
        16 => "t",
        13 => "tt",
        _ => "x",
    }
}

/// The data of a record from its words.
pub fn data(rtype: u16, words: &[&str]) -> Result<Vec<u8>, String> {
    let mut wire = Vec::new();
    let kinds = fields(rtype);
    // Data of no bytes at all have no word either.
    if kinds == "x" && words.is_empty() {
        return Ok(wire);
    }
    if words.len() != kinds.len() {
        return Err(format!("{} wants {} words of data", type_name(rtype), kinds.len()));
    }
    for (kind, word) in kinds.chars().zip(words) {
        let bad = |_| format!("{word} does not fit in {}", type_name(rtype));
        match kind {
            '4' => wire.extend(word.parse::<Ipv4Addr>().map_err(|e| bad(e.to_string()))?.octets()),
            '6' => wire.extend(word.parse::<Ipv6Addr>().map_err(|e| bad(e.to_string()))?.octets()),
            'n' => wire.extend(name(word)?),
            's' => wire.extend(word.parse::<u16>().map_err(|e| bad(e.to_string()))?.to_be_bytes()),
            'l' => wire.extend(word.parse::<u32>().map_err(|e| bad(e.to_string()))?.to_be_bytes()),
            't' => {
                // `text*200` is the text 200 times over, in as many strings as that takes.
                let (text, times) = word.split_once('*').unwrap_or((word, "1"));
                let times = times.parse().map_err(|_| bad(String::new()))?;
                let text = text.trim_matches('"').repeat(times);
                for part in text.as_bytes().chunks(255) {
                    wire.push(part.len() as u8);
                    wire.extend(part);
                }
                if text.is_empty() {
                    wire.push(0);
                }
            }
            _ => wire.extend(hex(word)?),
        }
    }
    Ok(wire)
}

/// The data of a record that lies in `raw` at `at..end`, as words.
pub fn show_data(raw: &[u8], rtype: u16, mut at: usize, end: usize) -> Result<String, String> {
    let mut words = Vec::new();
    let take = |at: &mut usize, count: usize| -> Result<&[u8], String> {
        let bytes = raw.get(*at..*at + count).filter(|_| *at + count <= end);
        *at += count;
        bytes.ok_or_else(|| "record data is cut short".to_owned())
    };
    for kind in fields(rtype).chars() {
        words.push(match kind {
            '4' => {
                let octets: [u8; 4] = take(&mut at, 4)?.try_into().map_err(|_| "no address")?;
                Ipv4Addr::from(octets).to_string()
            }
            '6' => {
                let octets: [u8; 16] = take(&mut at, 16)?.try_into().map_err(|_| "no address")?;
                Ipv6Addr::from(octets).to_string()
            }
            'n' => {
                let (name, behind) = read_name(raw, at)?;
                at = behind;
                name
            }
            's' | 'l' => {
                let bytes = take(&mut at, if kind == 's' { 2 } else { 4 })?;
                bytes.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)).to_string()
            }
            't' => {
                let mut text = String::new();
                let last = rtype == 13;
                while at < end {
                    let len = usize::from(take(&mut at, 1)?[0]);
                    text.push_str(&String::from_utf8_lossy(take(&mut at, len)?));
                    if last {
                        break;
                    }
                }
                format!("\"{text}\"")
            }
            _ => {
                let left = end - at;
                let rest = take(&mut at, left)?;
                rest.iter().map(|byte| format!("{byte:02x}")).collect()
            }
        });
    }
    if at != end {
        return Err(format!("{} data has bytes left over", type_name(rtype)));
    }
    Ok(words.join(" "))
}

/// A line of a script made like the text that [`show_data`] gives.
pub fn normal(line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [owner, ttl, rtype, rest @ ..] = &words[..] else {
        return Err(format!("a record is: owner TTL TYPE data, not {line}"));
    };
    let number = type_of(rtype)?;
    let wire = data(number, rest)?;
    let shown = show_data(&wire, number, 0, wire.len())?;
    Ok(format!("{owner} {ttl} {} {shown}", type_name(number)))
}
