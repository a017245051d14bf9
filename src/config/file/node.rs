//! `[node]`.

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::Section;
use std::net::{IpAddr, SocketAddr};

use crate::cni::standin;
use crate::config::{Node, Steer};

/// Longest interface name: the kernel's IFNAMSIZ without its closing zero.
const MAX_INTERFACE: usize = 15;
/// As many as can be listened on.
const MAX_CLUSTER_DNS: usize = 8;
const STEER: [(&str, Steer); 3] =
    [("kubelet", Steer::Kubelet), ("cni", Steer::Cni), ("service-ip", Steer::ServiceIp)];

/// `listen` are the addresses of `[listen]`.
pub(super) fn read(root: &Section<'_, '_>, listen: &[SocketAddr], report: &mut Report<'_>) -> Node {
    let table = root.section("node", report);
    let interface = table.item("interface").and_then(|item| interface(&item, report));
    let mut node = Node { interface, ..Node::default() };
    table.boolean("leave_on_exit", &mut node.leave_on_exit, report);
    table.boolean("notrack", &mut node.notrack, report);
    for item in
        table.list("steer", "\"kubelet\", \"cni\" or \"service-ip\"", 3, report).unwrap_or_default()
    {
        steer(&item, &mut node.steer, report);
    }
    if table.item("cluster_dns").is_some() {
        node.cluster_dns = addresses(&table, "cluster_dns", report);
    }
    node.stand_ins = addresses(&table, "stand_ins", report);
    steered(&table, &node, listen, report);
    idle(&table, &node, report);
    askable(&table, &node, listen, report);
    node.name = table.item("name").and_then(|item| name(&item, report));
    node
}

fn interface(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    let name = item.text(report, "an interface name in quotes, or \"\" for none")?;
    if name.is_empty() {
        return None;
    }
    // '%' is a template to the kernel, ':' an alias, '.' and '..' are directories in /sys.
    let odd = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    let what = if name.len() > MAX_INTERFACE {
        format!("{} has {} bytes", quoted(name), name.len())
    } else if name.contains(odd) || name == "." || name == ".." {
        format!("{} is no interface name", quoted(name))
    } else {
        return Some(name.into());
    };
    item.error(report, &what, "write 1 to 15 bytes without slash, colon, percent sign or space");
    None
}

fn steer(item: &Item<'_, '_>, modes: &mut Vec<Steer>, report: &mut Report<'_>) {
    let Some(mode) = item.choice(&STEER, report) else { return };
    if modes.contains(&mode) {
        item.error(report, "this is listed twice", "remove one of them");
        return;
    }
    modes.push(mode);
}

fn addresses(table: &Section<'_, '_>, key: &str, report: &mut Report<'_>) -> Vec<IpAddr> {
    let items = table.list(key, "addresses", MAX_CLUSTER_DNS, report).unwrap_or_default();
    let address = |item: &Item<'_, '_>| {
        let text = item.text(report, "an address in quotes, like \"10.96.0.10\"")?;
        let address = text.parse::<IpAddr>().ok();
        let what = match address {
            Some(ip) if of_server(ip) => return Some(ip),
            Some(ip) => format!("{ip} is no address that pods could ask"),
            None => format!("{} is no address", quoted(text)),
        };
        item.error(report, &what, "write an address without port, like \"10.96.0.10\"");
        None
    };
    items.iter().filter_map(address).collect()
}

/// Whether rules can lead packets of pods from or to this address.
fn of_server(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let mapped = ip.to_canonical() != ip;
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || broadcast || mapped)
}

/// Whether what steers pods knows where from.
fn steered(table: &Section<'_, '_>, node: &Node, listen: &[SocketAddr], report: &mut Report<'_>) {
    let wants = |mode| node.steer.contains(&mode);
    let needed = wants(Steer::Cni) || wants(Steer::ServiceIp);
    let at = |key: &str| table.item(key).map_or(table.at, |item| item.at);
    if needed && node.cluster_dns.is_empty() {
        let hint = "write the addresses of the cluster's DNS Service, like [\"10.96.0.10\"]";
        let what = "steering by cni or service-ip needs the addresses that pods ask";
        report.error(at("steer"), "node.cluster_dns", what, hint);
    }
    if wants(Steer::Cni) && wants(Steer::ServiceIp) {
        let hint = "keep one of them";
        let what = "an address of the cluster's DNS cannot be redirected and bound here as well";
        report.error(at("steer"), "node.steer", what, hint);
    }
    if wants(Steer::Cni)
        && let Err(error) = standin::pairs(&node.cluster_dns, &node.stand_ins, &[])
    {
        let hint = "leave stand_ins out, or write one address for each of cluster_dns";
        report.error(at("stand_ins"), "node.stand_ins", &error.to_string(), hint);
    }
    // The rules would lead pods back here just when nobody is.
    let own = |ip: &&IpAddr| listen.iter().any(|addr| addr.ip() == **ip);
    if wants(Steer::Cni)
        && let Some(ip) = node.cluster_dns.iter().find(own)
    {
        let hint = "write the addresses of the cluster's DNS Service, like [\"10.96.0.10\"]";
        let what =
            format!("{ip} is a listening address of this server, and no other answers there");
        report.error(at("cluster_dns"), "node.cluster_dns", &what, hint);
    }
}

/// What is set and has no effect.
fn idle(table: &Section<'_, '_>, node: &Node, report: &mut Report<'_>) {
    let at = |key: &str| table.item(key).map_or(table.at, |item| item.at);
    if !node.stand_ins.is_empty() && !node.steer.contains(&Steer::Cni) {
        let what = "nothing is led to stand-ins but by \"cni\" in steer, and this has no effect";
        report.warning(at("stand_ins"), "node.stand_ins", what, "leave it out, or steer by cni");
    }
    let led = node.steer.iter().any(|mode| *mode != Steer::Kubelet);
    if node.leave_on_exit && node.interface.is_none() && !node.notrack && !led {
        let what = "without interface, notrack and steer nothing is made that could be left, and this \
                    has no effect";
        report.warning(at("leave_on_exit"), "node.leave_on_exit", what, "leave it out");
    }
}

/// Whether there is an address where the daemon can ask itself whether it serves: the rules lead questions
/// to those of pods away while it does not.
fn askable(table: &Section<'_, '_>, node: &Node, listen: &[SocketAddr], report: &mut Report<'_>) {
    let Some(wanted) = node.steering(listen) else { return };
    if !listen.is_empty() && listen.iter().all(|addr| wanted.leads_to(addr.ip())) {
        let hint = "listen on an address of this server's own as well, like \"169.254.20.10\"";
        let what = "every listening address is one that pods are led to, so this server cannot ask \
                    itself whether it serves";
        let at = table.item("steer").map_or(table.at, |item| item.at);
        report.error(at, "node.steer", what, hint);
    }
}

fn name(item: &Item<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    let name = item.text(report, "the node's name in quotes, 1 to 255 bytes")?;
    if (1..=255).contains(&name.len()) {
        return Some(name.into());
    }
    let what = format!("the name has {} bytes", name.len());
    item.error(report, &what, "write 1 to 255 bytes, or leave the key out for $NODE_NAME");
    None
}
