//! `[node]`.

use super::diagnostic::{Report, quoted};
use super::item::Item;
use super::reader::Section;
use crate::config::{Node, Steer};

/// Longest interface name: the kernel's IFNAMSIZ without its closing zero.
const MAX_INTERFACE: usize = 15;
const STEER: [(&str, Steer); 3] =
    [("kubelet", Steer::Kubelet), ("cni", Steer::Cni), ("service-ip", Steer::ServiceIp)];

pub(super) fn read(root: &Section<'_, '_>, report: &mut Report<'_>) -> Node {
    let table = root.section("node", report);
    let interface = table.item("interface").and_then(|item| interface(&item, report));
    let mut node = Node { interface, ..Node::default() };
    table.boolean("leave_on_exit", &mut node.leave_on_exit, report);
    table.boolean("notrack", &mut node.notrack, report);
    if node.notrack
        && let Some(item) = table.item("notrack")
    {
        let hint = "a later version will; until then rules of your own can";
        report.warning(item.at, &item.key, "notrack is not done by this version", hint);
    }
    for item in
        table.list("steer", "\"kubelet\", \"cni\" or \"service-ip\"", 3, report).unwrap_or_default()
    {
        steer(&item, &mut node.steer, report);
    }
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
    if mode != Steer::Kubelet {
        let word = STEER.iter().find(|(_, known)| *known == mode).map_or("", |(word, _)| word);
        let what = format!("steering by {word} is not done by this version");
        let hint = "a later version will; until then name the listening address in the kubelet's \
                    clusterDNS";
        report.warning(item.at, &item.key, &what, hint);
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
