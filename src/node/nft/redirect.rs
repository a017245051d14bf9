//! The redirect in a pod: its DNS goes to the node's server, and its resolver never knows.
//!
//! Queries to a cluster DNS address leave for the stand-in's, and answers from the stand-in come in
//! as the cluster DNS's. Stateless: no NAT, no connection tracking, so none of its races. What the
//! pod asks of any other address, the node's own among them, is left as it is.
//!
//! Each function works in the network namespace of the calling thread, needs CAP_NET_ADMIN there,
//! opens its own socket, blocks for at most some multiple of [`super::REQUEST_TIMEOUT`], and touches
//! the one table [`TABLE`]. The plugin calls [`add`] at ADD, [`present`] at CHECK, [`remove`] at DEL
//! where the namespace still exists (with the namespace the table goes by itself).

use super::expr::{End, Expr};
use super::pairs::check_pairs;
use super::rules::{TRANSPORTS, address_is, base_chain, port_is_dns, set_address};
use super::socket::Socket;
use super::table::{PRIORITY_RAW, Table};
use super::{NftError, Pair, PlanError};

/// Name of the table, of family `inet`.
pub const TABLE: &str = "horizond";

/// Redirects UDP and TCP port 53 of each pair's first address to its second, in place of whatever
/// redirect there is: at most [`super::MAX_ADDRESSES`] pairs, at least one. One transaction.
pub fn add(pairs: &[Pair]) -> Result<(), NftError> {
    let wanted = table(pairs)?;
    let mut socket = Socket::open()?;
    // A pod has none as a rule. Where a table is taken away, the kernel holds whoever closes the socket
    // until no CPU looks at it any more, 10 ms and longer.
    match socket.commit(|batch| batch.create(&wanted, true)) {
        Err(e) if !e.is_present() => Err(e),
        Err(_) if socket.read(TABLE)?.is_some_and(|found| found == wanted) => Ok(()),
        Err(_) => socket.commit(|batch| batch.replace(&wanted)),
        Ok(()) => Ok(()),
    }
}

/// Whether exactly this redirect is there: every rule, and none besides.
pub fn present(pairs: &[Pair]) -> Result<bool, NftError> {
    let wanted = table(pairs)?;
    Ok(Socket::open()?.read(TABLE)?.is_some_and(|found| found == wanted))
}

/// Removes the redirect whole; `false` if there was none.
pub fn remove() -> Result<bool, NftError> {
    match Socket::open()?.commit(|batch| batch.delete(TABLE)) {
        Ok(()) => Ok(true),
        Err(e) if e.is_absent() => Ok(false),
        Err(e) => Err(e),
    }
}

/// The table for these pairs.
fn table(pairs: &[Pair]) -> Result<Table, PlanError> {
    check_pairs(pairs)?;
    if pairs.is_empty() {
        return Err(PlanError::Empty);
    }
    let (mut out, mut back) = (Vec::new(), Vec::new());
    for (cluster, stand_in) in pairs {
        for transport in TRANSPORTS {
            out.push(lead(End::Destination, transport, *cluster, *stand_in));
            back.push(lead(End::Source, transport, *stand_in, *cluster));
        }
    }
    let (output, input) = (libc::NF_INET_LOCAL_OUT, libc::NF_INET_PRE_ROUTING);
    Ok(Table {
        name: TABLE.to_owned(),
        comment: "horizond: this pod's DNS goes to the node",
        sets: Vec::new(),
        chains: vec![
            // Type route: the packet is routed again once its destination has changed.
            base_chain("out", "route", (output, PRIORITY_RAW), out),
            base_chain("in", "filter", (input, PRIORITY_RAW), back),
        ],
    })
}

/// `ip daddr FROM udp dport 53 notrack ip daddr set TO`, or the like for the source.
fn lead(
    end: End,
    transport: super::rules::Transport,
    from: std::net::IpAddr,
    to: std::net::IpAddr,
) -> Vec<Expr> {
    let mut rule = address_is(end, from);
    rule.extend(port_is_dns(transport, end));
    rule.push(Expr::Notrack);
    rule.extend(set_address(end, to));
    rule
}

#[cfg(test)]
mod tests;
