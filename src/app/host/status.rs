//! `horizond node status`: each thing that the configuration wants of the host, and how it is.

use std::net::IpAddr;

use super::{Daemon, Host};
use crate::admin::node::{Finding, NodeReport};
use crate::config::{Config, Steering};
use crate::node::NodeError;
use crate::node::holder;
use crate::node::nft::NftError;
use crate::node::nft::steer::{Look, Plan, Rules, TABLE, look};
use crate::node::survey::{Carrier, Place, Survey, survey};
use crate::pods::Redirected;

const START: &str = "start horizond";
const ROOT: &str = "try again as root";
/// What a running daemon does by itself.
const MENDED: &str = "a running horizond repairs it, within a minute at the latest";
const CLEAN: &str = "a start of horizond, or `horizond node clean`, takes it away";

/// Compares the host with the configuration. Blocks, for as long as the kernel and a daemon need to answer:
/// 5 s each at the most.
///
/// # Errors
/// The host's interfaces and addresses cannot be read.
pub async fn status(config: &Config) -> Result<NodeReport, NodeError> {
    let host = Host::from(config);
    let wanted = host.addresses();
    let seen = survey(config.node.interface.as_deref(), &wanted).await?;
    let steering = config.node.steering(&config.listen.addresses);
    let daemon = host.daemon();
    let runs = matches!(daemon, Daemon::Running(_) | Daemon::Silent(_));

    let mut findings = vec![daemon_finding(&daemon, config)];
    findings.push(interface(config, &seen, &wanted));
    for place in &seen.places {
        findings.push(address(config, steering.as_ref(), place, runs));
    }
    let pods = Redirected::read(&host.records);
    let pairs = pods.as_ref().map(|pods| pods.pairs.clone()).unwrap_or_default();
    let plan = steering.clone().and_then(|s| Plan::new(s.local, s.stand_ins, s.services).ok());
    let plan = plan.map(|plan| plan.leading(&pairs));
    findings.extend(rules(config, plan.as_ref(), &pairs, steering.as_ref(), runs));
    findings.push(match &pods {
        Ok(pods) => records(&host, pods, steering.as_ref()),
        Err(error) => Finding::unknown("pods", error.to_string(), ROOT),
    });
    findings.extend(seen.leftovers.iter().map(|thing| {
        Finding::wrong("leftover", format!("{thing}: ours, and not wanted any more"), CLEAN)
    }));
    Ok(NodeReport::new(findings))
}

fn daemon_finding(daemon: &Daemon, config: &Config) -> Finding {
    match daemon {
        Daemon::Running(status) => {
            let text = format!("running, version {}, pid {}", status.version, status.pid);
            if status.config.hash == format!("{:016x}", config.hash) {
                return Finding::good("horizond", text);
            }
            let path = status.config.path.display();
            let text = format!("{text}, with another configuration than this file ({path})");
            Finding::wrong("horizond", text, "restart it to take up the file")
        }
        Daemon::Silent(why) => Finding::wrong("horizond", why, "look at its log"),
        Daemon::None => Finding::wrong("horizond", "not running", START),
        Daemon::Hidden(path) => {
            let text = format!("{} may only be used by its owner", path.display());
            Finding::unknown("horizond", text, ROOT)
        }
    }
}

fn described(carrier: &Carrier) -> String {
    let kind = carrier.kind.as_deref().map(|kind| format!("{kind}, ")).unwrap_or_default();
    let up = if carrier.up { "up" } else { "down" };
    let whose = if carrier.ours { "made by horizond" } else { "not made by horizond" };
    format!("{}: {kind}{up}, {whose}", carrier.name)
}

fn interface(config: &Config, seen: &Survey, wanted: &[IpAddr]) -> Finding {
    let Some(name) = &config.node.interface else {
        return Finding::good("interface", "none is asked for ([node] interface)");
    };
    if wanted.iter().all(IpAddr::is_loopback) {
        return Finding::good("interface", format!("{name}: not needed for loopback addresses"));
    }
    match &seen.interface {
        Some(carrier) if carrier.up => Finding::good("interface", described(carrier)),
        Some(carrier) => Finding::wrong("interface", described(carrier), MENDED),
        // Where the kernel can make none the addresses are on lo.
        None if seen.places.iter().any(|place| place.ours && is_on(place, "lo")) => {
            Finding::good("interface", format!("{name}: not there; the addresses are on lo"))
        }
        None => Finding::wrong("interface", format!("{name}: missing"), START),
    }
}

fn is_on(place: &Place, name: &str) -> bool {
    place.on.as_ref().is_some_and(|carrier| carrier.name == name)
}

fn address(config: &Config, steering: Option<&Steering>, place: &Place, runs: bool) -> Finding {
    let ip = place.ip;
    let part = part_of(steering, ip);
    let Some(carrier) = place.on.as_ref() else {
        if ip.is_loopback() {
            return Finding::good("address", format!("{ip}{part}: loopback, always there"));
        }
        let todo = match (&config.node.interface, runs) {
            (None, _) => "add it to an interface, or name one in [node] interface",
            (Some(_), true) => MENDED,
            (Some(_), false) => START,
        };
        return Finding::wrong("address", format!("{ip}{part}: on no interface"), todo);
    };
    let whose = if place.ours { "ours" } else { "was there already" };
    let text = format!("{ip}{part}: on {}, {whose}", carrier.name);
    if !carrier.up {
        return Finding::wrong("address", format!("{text}, and that is down"), MENDED);
    }
    let sockets = config.listen.addresses.iter().filter(|addr| addr.ip() == ip);
    let mut servers = sockets.map(|&addr| (addr, holder::server_at(addr)));
    match servers.find(|(_, server)| server.is_none()) {
        Some((addr, _)) => {
            Finding::wrong("address", format!("{text}; nobody serves {addr}/udp"), START)
        }
        None => Finding::good("address", text),
    }
}

/// What an address is to pods.
fn part_of(steering: Option<&Steering>, ip: IpAddr) -> String {
    let Some(steering) = steering else { return String::new() };
    match steering.stand_ins.iter().find(|(_, stand_in)| *stand_in == ip) {
        Some((cluster, _)) => format!(" (stands in for {cluster})"),
        None if steering.services.contains(&ip) => " (the cluster's DNS)".to_owned(),
        None => String::new(),
    }
}

/// The table, and who is alive in it.
fn rules(
    config: &Config,
    plan: Option<&Plan>,
    pairs: &[(IpAddr, IpAddr)],
    steering: Option<&Steering>,
    runs: bool,
) -> Vec<Finding> {
    let fallback = Plan::fallback(pairs);
    let found = match look(plan.or(fallback.as_ref())) {
        Ok(found) => found,
        Err(NftError::Unsupported { .. }) if plan.is_none() => {
            return vec![Finding::good("rules", "none are asked for")];
        }
        Err(NftError::NotPermitted { .. }) if plan.is_none() => {
            let text = "none are asked for; what an earlier run left is shown to root alone";
            return vec![Finding::good("rules", text)];
        }
        Err(error @ NftError::NotPermitted { .. }) => {
            return vec![Finding::unknown("rules", error.to_string(), ROOT)];
        }
        Err(error) => {
            let todo = "neither notrack nor steer works without them";
            return vec![Finding::wrong("rules", error.to_string(), todo)];
        }
    };
    let todo = if runs { MENDED } else { START };
    let Some(plan) = plan else { return vec![no_rules(config, &found, fallback.is_some())] };
    let table = format!("inet {TABLE}");
    let mut findings = vec![match found.rules {
        Rules::Whole => Finding::good("rules", format!("{table}: whole")),
        Rules::Missing => Finding::wrong("rules", format!("{table}: missing"), todo),
        Rules::AtRest => {
            let text = format!("{table}: only what leads redirected pods to the cluster's DNS");
            Finding::wrong("rules", text, todo)
        }
        Rules::Other => Finding::wrong("rules", format!("{table}: differs"), todo),
    }];
    if plan.has_pulse() && found.rules != Rules::Missing {
        findings.extend(alive(steering, &found, runs));
    }
    findings
}

/// The rules where none are wanted.
fn no_rules(config: &Config, found: &Look, led: bool) -> Finding {
    let table = format!("inet {TABLE}");
    match found.rules {
        Rules::Missing if led => {
            let text =
                "pods are redirected to this node, and nothing leads them to the cluster's DNS";
            let todo = "say steer = [\"cni\"] and restart, or make these pods anew";
            Finding::wrong("rules", text, todo)
        }
        Rules::Missing => Finding::good("rules", "none are asked for, and there are none"),
        // What leads pods that are redirected is wanted as long as they live.
        Rules::Whole => {
            let text = format!("{table}: leads pods that are redirected to the cluster's DNS");
            Finding::note("rules", text)
        }
        _ if config.node.interface.is_none() => {
            let text = format!("{table}: left by an earlier run");
            Finding::wrong("rules", text, "`horizond node clean` takes it away")
        }
        _ => Finding::wrong("rules", format!("{table}: left by an earlier run"), CLEAN),
    }
}

/// Whether pods come to us, by the way in which they are led.
fn alive(steering: Option<&Steering>, found: &Look, runs: bool) -> Vec<Finding> {
    let Some(steering) = steering else { return Vec::new() };
    let stand_ins: Vec<IpAddr> = steering.stand_ins.iter().map(|(_, ip)| *ip).collect();
    let modes = [("cni", &stand_ins), ("service-ip", &steering.services)];
    let line = |(mode, ips): (&str, &Vec<IpAddr>)| {
        let (beating, silent): (Vec<_>, Vec<_>) =
            ips.iter().partition(|ip| found.alive.contains(ip));
        if silent.is_empty() {
            return Finding::good("alive", format!("{mode}: {}", join(&beating)));
        }
        let text = format!("{mode}: not {}; its pods go to the cluster's DNS", join(&silent));
        let todo = if runs { "horizond does not answer itself: look at its log" } else { START };
        Finding::wrong("alive", text, todo)
    };
    modes.into_iter().filter(|(_, ips)| !ips.is_empty()).map(line).collect()
}

fn join(ips: &[&IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn records(host: &Host, pods: &Redirected, steering: Option<&Steering>) -> Finding {
    let dir = host.records.display();
    let plural = if pods.records == 1 { "record" } else { "records" };
    let text = format!("{} {plural} in {dir}, {} redirected", pods.records, pods.redirected);
    let answered = |pair| steering.is_some_and(|steering| steering.stand_ins.contains(pair));
    let stranded = pods.pairs.iter().filter(|pair| !answered(pair)).map(|(_, to)| to);
    let stranded: Vec<&IpAddr> = stranded.collect();
    let mut notes = Vec::new();
    if !stranded.is_empty() {
        let to = join(&stranded);
        notes.push(format!("what is redirected to {to} goes to the cluster's DNS"));
    }
    if pods.damaged > 0 {
        notes.push(format!("files that are no records: {}", pods.damaged));
    }
    if notes.is_empty() {
        return Finding::good("pods", text);
    }
    Finding::note("pods", format!("{text}; {}", notes.join("; ")))
}
