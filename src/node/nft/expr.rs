//! The expressions that rules are made of, as the kernel's bytes and back.
//!
//! Only what this project's rules need: all values travel through register 1, all comparisons are
//! for equality. What a dump holds beyond that is read as [`Expr::Other`], which equals nothing that
//! we write, so a rule that somebody changed is never taken for ours.

use std::net::IpAddr;

use super::attr::{Attrs, Writer};

// linux/netfilter/nf_tables.h
const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const META_DREG: u16 = 1;
const META_KEY: u16 = 2;
const CMP_SREG: u16 = 1;
const CMP_OP: u16 = 2;
const CMP_DATA: u16 = 3;
const PAYLOAD_DREG: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LEN: u16 = 4;
const PAYLOAD_SREG: u16 = 5;
const PAYLOAD_CSUM_TYPE: u16 = 6;
const PAYLOAD_CSUM_OFFSET: u16 = 7;
const PAYLOAD_CSUM_FLAGS: u16 = 8;
const LOOKUP_SET: u16 = 1;
const LOOKUP_SREG: u16 = 2;
const LOOKUP_FLAGS: u16 = 5;
const IMMEDIATE_DREG: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const REG_VERDICT: u32 = libc::NFT_REG_VERDICT as u32;
const REG_1: u32 = libc::NFT_REG_1 as u32;
const CMP_EQ: u32 = libc::NFT_CMP_EQ as u32;
const CSUM_NONE: u32 = libc::NFT_PAYLOAD_CSUM_NONE as u32;
const CSUM_INET: u32 = libc::NFT_PAYLOAD_CSUM_INET as u32;
/// The transport's checksum covers the field too, by the pseudo header (RFC 768, RFC 9293, 3.1,
/// RFC 8200, 8.1): NFT_PAYLOAD_L4CSUM_PSEUDOHDR.
const CSUM_PSEUDO_HEADER: u32 = 1;
const ACCEPT: u32 = libc::NF_ACCEPT as u32;
const JUMP: u32 = libc::NFT_JUMP as u32;
/// Where an IPv4 header has its checksum (RFC 791, 3.1).
const IPV4_CHECKSUM: u32 = 10;

/// What a packet's metadata tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Meta {
    /// NFPROTO_IPV4 or NFPROTO_IPV6.
    Family = libc::NFT_META_NFPROTO as u32,
    /// The transport protocol's number.
    Transport = libc::NFT_META_L4PROTO as u32,
}

/// Some bytes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// NFT_PAYLOAD_*_HEADER.
    pub base: u32,
    /// Bytes from the start of that header.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

/// A direction: which of a packet's two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl Field {
    /// An address of a packet of the family of `ip`.
    pub fn address(end: End, ip: IpAddr) -> Self {
        let (offset, len) = match (ip, end) {
            (IpAddr::V4(_), End::Source) => (12, 4),
            (IpAddr::V4(_), End::Destination) => (16, 4),
            (IpAddr::V6(_), End::Source) => (8, 16),
            (IpAddr::V6(_), End::Destination) => (24, 16),
        };
        Self { base: libc::NFT_PAYLOAD_NETWORK_HEADER as u32, offset, len }
    }

    /// A port of a UDP or TCP packet.
    pub fn port(end: End) -> Self {
        let offset = match end {
            End::Source => 0,
            End::Destination => 2,
        };
        Self { base: libc::NFT_PAYLOAD_TRANSPORT_HEADER as u32, offset, len: 2 }
    }

    fn put(self, w: &mut Writer) {
        w.be32(PAYLOAD_BASE, self.base);
        w.be32(PAYLOAD_OFFSET, self.offset);
        w.be32(PAYLOAD_LEN, self.len);
    }

    fn read(data: Attrs<'_>) -> Option<Self> {
        Some(Self {
            base: data.be32(PAYLOAD_BASE)?,
            offset: data.be32(PAYLOAD_OFFSET)?,
            len: data.be32(PAYLOAD_LEN)?,
        })
    }
}

/// One step of a rule. A comparison or lookup that fails ends the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expr {
    /// Loads metadata.
    Meta(Meta),
    /// Loads bytes of the packet.
    Load(Field),
    /// What was loaded equals this.
    Equals(Vec<u8>),
    /// What was loaded is in the set of that name.
    InSet(String),
    /// Counts packets and bytes.
    Counter,
    /// Connection tracking leaves the packet alone.
    Notrack,
    /// Loads a constant.
    Constant(Vec<u8>),
    /// Writes what was loaded over an address of the packet, and corrects the transport's checksum
    /// and, in IPv4, the header's.
    Store(Field),
    /// The packet passes this base chain.
    Accept,
    /// Goes on in another chain, and comes back at its end.
    Jump(String),
    /// Something that is none of the above, by name: only ever read, never written.
    Other(String),
}

impl Expr {
    /// Appends the expression as an element of a rule's list.
    pub fn put(&self, w: &mut Writer) {
        w.nest(LIST_ELEM, |w| {
            w.text(EXPR_NAME, self.name());
            if *self != Self::Notrack {
                w.nest(EXPR_DATA, |w| self.put_data(w));
            }
        });
    }

    fn name(&self) -> &str {
        match self {
            Self::Meta(_) => "meta",
            Self::Load(_) | Self::Store(_) => "payload",
            Self::Equals(_) => "cmp",
            Self::InSet(_) => "lookup",
            Self::Counter => "counter",
            Self::Notrack => "notrack",
            Self::Constant(_) | Self::Accept | Self::Jump(_) => "immediate",
            Self::Other(name) => name,
        }
    }

    fn put_data(&self, w: &mut Writer) {
        match self {
            Self::Meta(key) => {
                w.be32(META_KEY, *key as u32);
                w.be32(META_DREG, REG_1);
            }
            Self::Load(field) => {
                w.be32(PAYLOAD_DREG, REG_1);
                field.put(w);
            }
            Self::Equals(value) => {
                w.be32(CMP_SREG, REG_1);
                w.be32(CMP_OP, CMP_EQ);
                w.nest(CMP_DATA, |w| w.put(DATA_VALUE, value));
            }
            Self::InSet(set) => {
                w.text(LOOKUP_SET, set);
                w.be32(LOOKUP_SREG, REG_1);
            }
            Self::Constant(value) => {
                w.be32(IMMEDIATE_DREG, REG_1);
                w.nest(IMMEDIATE_DATA, |w| w.put(DATA_VALUE, value));
            }
            Self::Store(field) => {
                w.be32(PAYLOAD_SREG, REG_1);
                field.put(w);
                let (kind, offset) = checksum_of(*field);
                w.be32(PAYLOAD_CSUM_TYPE, kind);
                w.be32(PAYLOAD_CSUM_OFFSET, offset);
                w.be32(PAYLOAD_CSUM_FLAGS, CSUM_PSEUDO_HEADER);
            }
            Self::Accept => put_verdict(w, ACCEPT, None),
            Self::Jump(chain) => put_verdict(w, JUMP, Some(chain)),
            Self::Counter | Self::Notrack | Self::Other(_) => {}
        }
    }

    /// Reads a rule's list of expressions.
    pub fn read_list(list: Attrs<'_>) -> Vec<Self> {
        list.filter(|(kind, _)| *kind == LIST_ELEM)
            .map(|(_, elem)| Self::read(Attrs(elem)))
            .collect()
    }

    fn read(elem: Attrs<'_>) -> Self {
        let name = elem.text(EXPR_NAME).unwrap_or_default();
        let data = elem.inside(EXPR_DATA).unwrap_or(Attrs(&[]));
        Self::read_known(name, data).unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    fn read_known(name: &str, data: Attrs<'_>) -> Option<Self> {
        let is = |kind, value| (data.be32(kind)? == value).then_some(());
        Some(match name {
            "meta" => {
                is(META_DREG, REG_1)?;
                let keys = [Meta::Family, Meta::Transport];
                let key = data.be32(META_KEY)?;
                Self::Meta(keys.into_iter().find(|k| *k as u32 == key)?)
            }
            "payload" if data.be32(PAYLOAD_SREG).is_some() => {
                let field = Field::read(data)?;
                let (kind, offset) = checksum_of(field);
                is(PAYLOAD_SREG, REG_1)?;
                is(PAYLOAD_CSUM_TYPE, kind)?;
                is(PAYLOAD_CSUM_OFFSET, offset)?;
                is(PAYLOAD_CSUM_FLAGS, CSUM_PSEUDO_HEADER)?;
                Self::Store(field)
            }
            "payload" => {
                is(PAYLOAD_DREG, REG_1)?;
                Self::Load(Field::read(data)?)
            }
            "cmp" => {
                is(CMP_SREG, REG_1)?;
                is(CMP_OP, CMP_EQ)?;
                Self::Equals(data.inside(CMP_DATA)?.data(DATA_VALUE)?.to_vec())
            }
            "lookup" => {
                is(LOOKUP_SREG, REG_1)?;
                if data.be32(LOOKUP_FLAGS).unwrap_or(0) != 0 {
                    return None;
                }
                Self::InSet(data.text(LOOKUP_SET)?.to_owned())
            }
            "counter" => Self::Counter,
            "notrack" => Self::Notrack,
            "immediate" => read_immediate(data)?,
            _ => return None,
        })
    }
}

/// Kind and offset of the checksum in the network header that covers the field. An IPv6 header has
/// none (RFC 8200, 3); the fields that we write are addresses, told apart by their length.
fn checksum_of(field: Field) -> (u32, u32) {
    if field.len == 4 { (CSUM_INET, IPV4_CHECKSUM) } else { (CSUM_NONE, 0) }
}

fn put_verdict(w: &mut Writer, code: u32, chain: Option<&str>) {
    w.be32(IMMEDIATE_DREG, REG_VERDICT);
    w.nest(IMMEDIATE_DATA, |w| {
        w.nest(DATA_VERDICT, |w| {
            w.be32(VERDICT_CODE, code);
            if let Some(chain) = chain {
                w.text(VERDICT_CHAIN, chain);
            }
        });
    });
}

fn read_immediate(data: Attrs<'_>) -> Option<Expr> {
    let content = data.inside(IMMEDIATE_DATA)?;
    if data.be32(IMMEDIATE_DREG)? == REG_1 {
        return Some(Expr::Constant(content.data(DATA_VALUE)?.to_vec()));
    }
    let verdict = content.inside(DATA_VERDICT)?;
    match (verdict.be32(VERDICT_CODE)?, verdict.text(VERDICT_CHAIN)) {
        (ACCEPT, None) => Some(Expr::Accept),
        (JUMP, Some(chain)) => Some(Expr::Jump(chain.to_owned())),
        _ => None,
    }
}
