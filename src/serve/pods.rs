//! What the pod behind a client's address is told of, and counted for.
//!
//! No answer to any other question depends on it, but see [`super::autopath`].

use super::{Client, Desk};
use crate::cni::record::SearchFrom;
use crate::wire::name::Name;

impl Desk {
    /// Counts a request for the namespace of the pod that asks.
    #[inline(never)]
    pub(super) fn count_namespace(&self, client: Client) {
        let pod = self.pods.find(client.addr.ip());
        self.stats.namespace(pod.map_or(0, |pod| pod.slot));
    }

    /// The client, and the pod behind it: what its record says, no more.
    pub(super) fn whoami(&self, client: Client) -> Vec<String> {
        let (ip, port) = (client.addr.ip().to_canonical(), client.addr.port());
        let mut rows = vec![format!("client {ip} port {port} {}", client.proto.as_str())];
        let Some(pod) = self.pods.find(ip) else { return rows };
        let known = |text: &Option<Box<str>>| text.as_deref().unwrap_or("unknown").to_owned();
        rows.push(format!("pod {}", known(&pod.name)));
        rows.push(format!("namespace {}", known(&pod.namespace)));
        rows.push(format!("network {}", pod.network));
        rows.push(match pod.search.len() {
            0 => "search list unknown".to_owned(),
            _ => {
                let search: Vec<_> = pod.search.iter().map(Name::to_string).collect();
                let from = match pod.search_from {
                    SearchFrom::Runtime => "the runtime",
                    SearchFrom::Configuration => "the plugin's configuration",
                };
                format!("search {} (from {from})", search.join(" "))
            }
        });
        rows.extend(pod.ndots.map(|ndots| format!("ndots {ndots}")));
        if self.autopath && pod.search_from == SearchFrom::Runtime {
            rows.push("autopath: the search list is walked here".to_owned());
        }
        rows
    }
}

#[cfg(test)]
mod tests;
