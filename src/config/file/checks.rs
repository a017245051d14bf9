//! What only shows when tables are held against each other: names and zones that two routes claim,
//! servers that would ask themselves.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;

use super::diagnostic::{Report, quoted};
use super::route::{Placed, Read};
use crate::config::{Admin, Listen, MAX_SUFFIXES, UpstreamSource};
use crate::wire::name::Name;

pub(super) fn run(
    listen: &Listen,
    routes: &[Read],
    admin: &Admin,
    admin_at: Option<usize>,
    report: &mut Report<'_>,
) {
    names(routes, report);
    zones(routes, report);
    for route in routes {
        upstreams(route, listen, report);
    }
    admin_apart(listen, admin, admin_at, report);
    everything_else(routes, report);
    one_conflist(routes, report);
}

/// HeadCNI has one block, and so one route; and what another program writes into a file must not stand
/// for "everything else".
fn one_conflist(routes: &[Read], report: &mut Report<'_>) {
    let mut first = None;
    for route in routes {
        let Some(at) = route.conflist_at else { continue };
        let key = format!("{}.headcni_conflist", route.key);
        if let Some(line) = first {
            let what = format!("the route in line {line} has one, too");
            report.error(at, &key, &what, "only one route can be HeadCNI's");
        }
        first.get_or_insert(report.line(at));
        if route.route.suffixes.iter().any(Name::is_root) {
            let what = "the route with the suffix \".\" cannot be HeadCNI's";
            report.error(at, &key, what, "give HeadCNI's names a route of their own");
        }
    }
}

fn names(routes: &[Read], report: &mut Report<'_>) {
    let mut seen = HashMap::new();
    for route in routes {
        let (name, Some(at)) = (&route.route.name, route.name_at) else { continue };
        if name.is_empty() {
            continue;
        }
        if let Some(first) = seen.get(name) {
            let what = format!("{} is the name of the route in line {first}, too", quoted(name));
            report.error(at, &format!("{}.name", route.key), &what, "give each its own name");
        } else {
            seen.insert(name, report.line(at));
        }
    }
}

/// Who claimed a zone first: the route and the line.
struct Claim<'r> {
    route: &'r Read,
    line: usize,
}

fn zones(routes: &[Read], report: &mut Report<'_>) {
    let mut by_name: HashMap<Name, Claim<'_>> = HashMap::new();
    let mut by_prefix = HashMap::new();
    let mut count = 0;
    for route in routes {
        for suffix in &route.suffixes {
            match by_name.entry(suffix.value.clone()) {
                Entry::Occupied(first) => twice(suffix, first.get(), route, report),
                Entry::Vacant(free) => {
                    free.insert(Claim { route, line: report.line(suffix.at) });
                }
            }
        }
        for prefix in &route.reverse {
            let claim = Claim { route, line: report.line(prefix.at) };
            // A prefix that ends at a label is the same zone as a suffix under in-addr.arpa.
            let zone = prefix.value.reverse_zone();
            let first = match &zone {
                Some(zone) => by_name.get(zone),
                None => by_prefix.get(&prefix.value),
            };
            match (first, zone) {
                (Some(first), _) => twice(prefix, first, route, report),
                (None, Some(zone)) => _ = by_name.insert(zone, claim),
                (None, None) => _ = by_prefix.insert(prefix.value, claim),
            }
        }
        let before = count;
        count += route.suffixes.len() + route.reverse.len();
        if before <= MAX_SUFFIXES && count > MAX_SUFFIXES {
            too_many(route, report);
        }
    }
}

fn twice<T: Display>(again: &Placed<T>, first: &Claim<'_>, second: &Read, report: &mut Report<'_>) {
    let (zone, line) = (quoted(&again.value.to_string()), first.line);
    let (what, hint) = if std::ptr::eq(first.route, second) {
        (format!("{zone} is in this route already, in line {line}"), "remove one of them")
    } else {
        let owner = quoted(&first.route.route.name);
        (format!("{zone} belongs to route {owner} already, in line {line}"), "keep it in one route")
    };
    report.error(again.at, &again.key, &what, hint);
}

fn too_many(route: &Read, report: &mut Report<'_>) {
    let what = format!("more than {MAX_SUFFIXES} suffixes and prefixes in all routes together");
    report.error(route.at, &route.key, &what, "use shorter suffixes and prefixes");
}

fn upstreams(read: &Read, listen: &Listen, report: &mut Report<'_>) {
    for (index, upstream) in read.upstreams.iter().enumerate() {
        if let UpstreamSource::Server(server) = &upstream.value
            && listen.addresses.contains(&server.addr)
        {
            let what = format!("{} is a listening address of this server: a loop", server.addr);
            report.error(
                upstream.at,
                &upstream.key,
                &what,
                "write the server that knows these names",
            );
        }
        let earlier = read.upstreams.iter().take(index);
        if earlier.into_iter().any(|other| other.value == upstream.value) {
            let what = format!("{} is listed twice", quoted(&upstream.value.to_string()));
            report.warning(upstream.at, &upstream.key, &what, "remove one of them");
        }
    }
}

/// The HTTP socket and a DNS socket cannot have the same address and port, both being TCP.
fn admin_apart(listen: &Listen, admin: &Admin, at: Option<usize>, report: &mut Report<'_>) {
    let Some(ours) = admin.address else { return };
    let clash = listen.addresses.iter().find(|dns| {
        // [::] takes IPv4 as well, as Linux has it by default.
        let all = ours.ip().is_unspecified() && (ours.is_ipv6() || dns.is_ipv4());
        ours.port() == dns.port() && (all || ours.ip() == dns.ip())
    });
    if let Some(dns) = clash {
        let which = if at.is_none() { " (the default)" } else { "" };
        let what = format!("{ours}{which} is taken by the listening address {dns}");
        report.error(at.unwrap_or(0), "admin.address", &what, "use another port, like 9253");
    }
}

fn everything_else(routes: &[Read], report: &mut Report<'_>) {
    let is_root = |read: &Read| read.route.suffixes.iter().any(Name::is_root);
    if let Some(first) = routes.first()
        && !routes.iter().any(is_root)
    {
        let what = "no route has the suffix \".\": names outside all suffixes will be REFUSED";
        let hint = "add a route with suffixes = [\".\"] unless that is meant";
        report.warning(first.at, "route", what, hint);
    }
}
