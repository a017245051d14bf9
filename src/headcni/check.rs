//! What a configuration has from HeadCNI's file now, for people.

use super::{Learnt, read};
use crate::config::Config;

/// What `horizond check` says of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What comes from where.
    pub lines: Vec<String>,
    /// What is probably not meant.
    pub warnings: Vec<String>,
}

/// Reads the file of the route that has one, and says what the route has from it and why the rest is
/// not taken. Whether a server is this host itself is not looked at: it may be another host's file.
pub fn check(config: &Config) -> Report {
    let mut report = Report::default();
    let Some(mut learnt) = Learnt::of(&config.routes) else { return report };
    let Some(route) = config.routes.get(usize::from(learnt.route)) else { return report };
    learnt.take(read(&learnt.file), &config.routes);
    let name = &route.name;
    let mut warn = |what: String| report.warnings.push(format!("route {name}: {what}"));
    if let Some(trouble) = learnt.trouble() {
        warn(trouble);
    }
    let usable = learnt.usable(&config.listen.addresses, &[]);
    let origin = learnt.origin();
    learnt.refused.iter().for_each(|what| warn(format!("{origin}.{what}: passed over")));
    usable.said.iter().for_each(|what| warn(format!("{origin}.nameservers: {what}")));
    if learnt.suffixes.is_empty() && route.suffixes.is_empty() {
        warn(
            "no suffix is known, and its names go where other routes lead; write those that must \
             not in the route's own suffixes"
                .into(),
        );
    }
    if usable.servers.is_empty() {
        warn("no server is known, and its names get SERVFAIL".into());
    }
    if !learnt.suffixes.is_empty() {
        let names = join(&learnt.suffixes);
        report.lines.push(format!("route {name}: suffixes {names} from {origin}.search_domains"));
    }
    if !usable.servers.is_empty() {
        let servers = join(&usable.servers);
        report.lines.push(format!("route {name}: upstreams {servers} from {origin}.nameservers"));
    }
    if !learnt.left.is_empty() {
        let left = learnt.left.join(", ");
        report.lines.push(format!(
            "route {name}: left to their owners from {origin}.search_domains: {left}"
        ));
    }
    report
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
