//! One table as a value: what is wanted of the kernel, or what it says there is.
//!
//! A table of family `inet` with base chains whose policy is accept, chains that they jump to, and
//! sets of addresses that go by themselves. Two tables are equal if packets fare alike in them: the
//! order of chains and sets, comments and counters' values do not count, everything else does.

use std::net::IpAddr;

use super::attr::{Attrs, Writer};
use super::expr::Expr;

// linux/netfilter/nf_tables.h
pub(super) const TABLE_NAME: u16 = 1;
const TABLE_FLAGS: u16 = 2;
const TABLE_USERDATA: u16 = 6;
pub(super) const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
pub(super) const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
pub(super) const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_ID: u16 = 10;
const SET_USERDATA: u16 = 13;
pub(super) const LIST_TABLE: u16 = 1;
pub(super) const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEM: u16 = 1;
const ELEM_KEY: u16 = 1;
const ELEM_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
const SET_TIMEOUT: u32 = libc::NFT_SET_TIMEOUT as u32;
/// The table is there but its chains hang in no hook: NFT_TABLE_F_DORMANT.
const DORMANT: u32 = 1;
/// What the `nft` program reads in user data (libnftnl/udata.h): a table's comment, the byte order
/// of a set's key, and its name for network order.
const USERDATA_TABLE_COMMENT: u8 = 0;
const USERDATA_SET_KEY_ORDER: u8 = 0;
const BIG_ENDIAN: u32 = 2;
const POLICY_ACCEPT: u32 = libc::NF_ACCEPT as u32;

/// A table of family `inet`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: String,
    /// Shown by `nft list`; at most 127 bytes. Not read back.
    pub comment: &'static str,
    pub sets: Vec<Set>,
    pub chains: Vec<Chain>,
}

/// A set of addresses of one family whose elements time out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Set {
    pub name: String,
    /// Of IPv6 addresses, else of IPv4.
    pub ipv6: bool,
}

/// A chain with its rules, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    pub name: String,
    /// Where it hangs; `None` for one that is jumped to.
    pub hook: Option<Hook>,
    pub rules: Vec<Vec<Expr>>,
}

/// Where a base chain hangs. Its policy is accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hook {
    /// `filter` or `route`.
    pub kind: String,
    /// NF_INET_*.
    pub number: u32,
    /// Lower comes first.
    pub priority: i32,
}

/// Where connection tracking has not yet looked: the priority called `raw`.
pub(super) const PRIORITY_RAW: i32 = -300;
/// The priority called `filter`.
pub(super) const PRIORITY_FILTER: i32 = 0;

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && sorted(&self.sets, |s| s.name.as_str()) == sorted(&other.sets, |s| s.name.as_str())
            && sorted(&self.chains, |c| c.name.as_str())
                == sorted(&other.chains, |c| c.name.as_str())
    }
}

fn sorted<T>(items: &[T], key: impl Fn(&T) -> &str) -> Vec<&T> {
    let mut items: Vec<&T> = items.iter().collect();
    items.sort_by(|a, b| key(a).cmp(key(b)));
    items
}

/// The attributes of the table itself.
pub(super) fn put_table(w: &mut Writer, table: &Table) {
    put_name(w, &table.name);
    w.be32(TABLE_FLAGS, 0);
    let mut comment = vec![USERDATA_TABLE_COMMENT, (table.comment.len() + 1) as u8];
    comment.extend_from_slice(table.comment.as_bytes());
    comment.push(0);
    w.put(TABLE_USERDATA, &comment);
}

/// A table named, no more.
pub(super) fn put_name(w: &mut Writer, table: &str) {
    w.text(TABLE_NAME, table);
}

/// The attributes of a chain without its rules.
pub(super) fn put_chain(w: &mut Writer, table: &str, chain: &Chain) {
    w.text(CHAIN_TABLE, table);
    w.text(CHAIN_NAME, &chain.name);
    if let Some(hook) = &chain.hook {
        w.text(CHAIN_TYPE, &hook.kind);
        w.be32(CHAIN_POLICY, POLICY_ACCEPT);
        w.nest(CHAIN_HOOK, |w| {
            w.be32(HOOK_NUMBER, hook.number);
            w.be32(HOOK_PRIORITY, hook.priority.cast_unsigned());
        });
    }
}

/// The attributes of a rule.
pub(super) fn put_rule(w: &mut Writer, table: &str, chain: &str, rule: &[Expr]) {
    w.text(RULE_TABLE, table);
    w.text(RULE_CHAIN, chain);
    w.nest(RULE_EXPRESSIONS, |w| rule.iter().for_each(|expr| expr.put(w)));
}

/// The attributes of a set; `id` tells it from the other sets of the transaction.
pub(super) fn put_set(w: &mut Writer, table: &str, set: &Set, id: u32) {
    let (key_type, key_len) = set.key();
    w.text(SET_TABLE, table);
    w.text(SET_NAME, &set.name);
    w.be32(SET_FLAGS, SET_TIMEOUT);
    w.be32(SET_KEY_TYPE, key_type);
    w.be32(SET_KEY_LEN, key_len);
    w.be32(SET_ID, id);
    let order = BIG_ENDIAN.to_ne_bytes();
    w.put(SET_USERDATA, &[USERDATA_SET_KEY_ORDER, 4, order[0], order[1], order[2], order[3]]);
}

/// The attributes of elements to be added to a set, each for `timeout_ms`; without elements, those
/// of "all of them", to be deleted.
pub(super) fn put_elements(
    w: &mut Writer,
    table: &str,
    set: &str,
    ips: &[IpAddr],
    timeout_ms: u64,
) {
    w.text(LIST_TABLE, table);
    w.text(LIST_SET, set);
    if ips.is_empty() {
        return;
    }
    w.nest(LIST_ELEMENTS, |w| {
        for ip in ips {
            w.nest(LIST_ELEM, |w| {
                w.put(ELEM_TIMEOUT, &timeout_ms.to_be_bytes());
                w.nest(ELEM_KEY, |w| w.put(DATA_VALUE, &octets(*ip)));
            });
        }
    });
}

/// An address in network order.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

impl Set {
    /// How `nft` calls the type of the key (its datatype.h), and how long a key is.
    fn key(&self) -> (u32, u32) {
        if self.ipv6 { (8, 16) } else { (7, 4) }
    }
}

/// Whether a table of that name, as the kernel describes it, takes part at all.
pub(super) fn is_active(attrs: Attrs<'_>) -> bool {
    attrs.be32(TABLE_FLAGS).unwrap_or(0) & DORMANT == 0
}

/// Reads a set of `table`; one of another kind gets a name that no set of ours has.
pub(super) fn read_set(attrs: Attrs<'_>, table: &str) -> Option<Set> {
    if attrs.text(SET_TABLE)? != table {
        return None;
    }
    let name = attrs.text(SET_NAME)?.to_owned();
    let flags = attrs.be32(SET_FLAGS).unwrap_or(0);
    let length = attrs.be32(SET_KEY_LEN)?;
    let set = Set { name, ipv6: length == 16 };
    let ours = flags == SET_TIMEOUT && length == set.key().1;
    Some(if ours { set } else { Set { name: format!("{} (of another kind)", set.name), ..set } })
}

/// Reads the addresses of a set's elements.
pub(super) fn read_elements(attrs: Attrs<'_>) -> Vec<IpAddr> {
    let list = attrs.inside(LIST_ELEMENTS).unwrap_or(Attrs(&[]));
    let key = |(kind, elem): (u16, _)| {
        let key = Attrs(elem).inside(ELEM_KEY).filter(|_| kind == LIST_ELEM)?;
        let bytes = key.data(DATA_VALUE)?;
        let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
        v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
    };
    list.filter_map(key).collect()
}

/// Reads a chain of `table`, without its rules; a policy other than accept makes it one of no kind.
pub(super) fn read_chain(attrs: Attrs<'_>, table: &str) -> Option<Chain> {
    if attrs.text(CHAIN_TABLE)? != table {
        return None;
    }
    let hook = attrs.inside(CHAIN_HOOK).map(|hook| {
        let accepts = attrs.be32(CHAIN_POLICY) == Some(POLICY_ACCEPT);
        let kind = attrs.text(CHAIN_TYPE).filter(|_| accepts).unwrap_or_default();
        Hook {
            kind: kind.to_owned(),
            number: hook.be32(HOOK_NUMBER).unwrap_or(u32::MAX),
            priority: hook.be32(HOOK_PRIORITY).unwrap_or(0).cast_signed(),
        }
    });
    Some(Chain { name: attrs.text(CHAIN_NAME)?.to_owned(), hook, rules: Vec::new() })
}

/// Reads a rule of `table`: the name of its chain, and what it does.
pub(super) fn read_rule<'a>(attrs: Attrs<'a>, table: &str) -> Option<(&'a str, Vec<Expr>)> {
    if attrs.text(RULE_TABLE)? != table {
        return None;
    }
    let list = attrs.inside(RULE_EXPRESSIONS).unwrap_or(Attrs(&[]));
    Some((attrs.text(RULE_CHAIN)?, Expr::read_list(list)))
}
