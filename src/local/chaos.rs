//! The names that tell about the server itself, class CH, type TXT (RFC 4892 and our own).

use crate::answer::{Answer, Kind, Question, Section, Writer};
use crate::wire::header::{Rcode, flag};
use crate::wire::name::Name;
use crate::wire::{CLASS_CH, CLASS_IN, rtype};

/// `shard.horizond` in wire form: what the daemon asks itself.
pub const SHARD: &[u8] = b"\x05shard\x08horizond\0";

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `version.bind`, `version.server`
    Version,
    /// `hostname.bind`, `id.server`
    Identity,
    /// `whoami.horizond`: the client itself
    Whoami,
    /// `shard.horizond`: the thread that answers
    Shard,
    /// `routes.horizond`
    Routes,
    /// `upstreams.horizond`
    Upstreams,
    /// `cache.horizond`
    Cache,
    /// `NAME.explain.horizond`
    Explain(Name),
}

impl Topic {
    /// From a folded name; `None` for names that are not ours.
    pub fn of(name: &[u8]) -> Option<Topic> {
        match name {
            b"\x07version\x04bind\0" | b"\x07version\x06server\0" => Some(Topic::Version),
            b"\x08hostname\x04bind\0" | b"\x02id\x06server\0" => Some(Topic::Identity),
            b"\x06whoami\x08horizond\0" => Some(Topic::Whoami),
            SHARD => Some(Topic::Shard),
            b"\x06routes\x08horizond\0" => Some(Topic::Routes),
            b"\x09upstreams\x08horizond\0" => Some(Topic::Upstreams),
            b"\x05cache\x08horizond\0" => Some(Topic::Cache),
            _ => {
                let front = name.strip_suffix(b"\x07explain\x08horizond\0")?;
                Name::from_wire(&[front, &[0]].concat()).map(Topic::Explain)
            }
        }
    }

    /// Whether it lets a client look into what others asked or how the node is made.
    pub fn is_private(&self) -> bool {
        !matches!(self, Topic::Version | Topic::Identity | Topic::Whoami | Topic::Shard)
    }
}

/// A TXT record for each row; a row longer than 255 bytes becomes several strings of one record.
/// For another type than TXT or ANY: NODATA.
pub fn answer(question: Question<'_>, rows: &[String]) -> Answer {
    let mut writer = Writer::new(question, Rcode::NOERROR, flag::AA);
    if !matches!(question.qtype, rtype::TXT | rtype::ANY) {
        writer.kind = Kind::Negative;
        return writer.finish();
    }
    for row in rows {
        let strings: Vec<u8> = if row.is_empty() {
            vec![0]
        } else {
            row.as_bytes()
                .chunks(255)
                .flat_map(|chunk| [&[chunk.len() as u8], chunk].concat())
                .collect()
        };
        if !writer.record(Section::Answer, &[0xc0, 0x0c], (rtype::TXT, CLASS_CH, 0), &[&strings]) {
            break;
        }
    }
    writer.finish()
}

/// Whether a question goes here: class CH. Class IN is answered elsewhere.
pub fn is_chaos(qclass: u16) -> bool {
    qclass != CLASS_IN
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn topic(name: &str) -> Option<Topic> {
        Topic::of(name.parse::<Name>().unwrap().as_wire())
    }

    #[test]
    fn topics() {
        assert_eq!(topic("version.bind"), Some(Topic::Version));
        assert_eq!(topic("ID.Server"), Some(Topic::Identity));
        assert_eq!(topic("whoami.horizond"), Some(Topic::Whoami));
        assert_eq!(topic("shard.horizond"), Some(Topic::Shard));
        assert_eq!(topic("a.b.explain.horizond"), Some(Topic::Explain("a.b".parse().unwrap())));
        assert_eq!(topic("explain.horizond"), Some(Topic::Explain(Name::root())));
        assert_eq!(topic("xexplain.horizond"), None);
        assert_eq!(topic("authors.bind"), None);
    }

    #[test]
    fn long_rows_become_strings() {
        let name: Name = "routes.horizond".parse().unwrap();
        let question = Question { name: name.as_wire(), qtype: rtype::TXT, qclass: CLASS_CH };
        let made = answer(question, &["a".repeat(300), String::new()]);
        assert_eq!(made.header().counts, [1, 2, 0, 0]);
        let rows = vec!["b".repeat(60_000), "c".repeat(60_000)];
        assert_eq!(answer(question, &rows).header().counts, [1, 1, 0, 0]);
    }
}
