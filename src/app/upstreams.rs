//! From configured sources to the servers that are asked, again whenever a source changes.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::config::{Config, MAX_UPSTREAMS, Route, Transport, UpstreamAddr, UpstreamSource};
use crate::node::addresses;
use crate::resolv_conf::{self, ResolvConf};
use crate::serve::Server;
use crate::upstream::{RouteState, Routes, Upstream};

/// The routes' sources and what the files among them said last.
pub struct Upstreams {
    routes: Vec<Route>,
    listen: Vec<SocketAddr>,
    files: Mutex<HashMap<PathBuf, ResolvConf>>,
}

impl Upstreams {
    /// Reads every resolver file once. One that cannot be read leaves its route without servers
    /// until it can.
    pub fn new(config: &Config) -> Arc<Upstreams> {
        let mut files = HashMap::new();
        for path in config.routes.iter().flat_map(files_of) {
            match resolv_conf::read(path) {
                Ok(content) => drop(files.insert(path.clone(), content)),
                Err(error) => tracing::error!(%error, "no name servers from this file"),
            }
        }
        Arc::new(Upstreams {
            routes: config.routes.clone(),
            listen: config.listen.addresses.clone(),
            files: Mutex::new(files),
        })
    }

    /// The routes with their servers. A server that was there in `old` is kept with all that is
    /// known of it.
    pub fn build(&self, old: &Routes, own: &[IpAddr]) -> Routes {
        self.routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                let known = old.get(index).map_or(&[][..], |state| &state.upstreams);
                let upstreams = self
                    .servers(route, own)
                    .into_iter()
                    .map(|server| {
                        let same = |u: &&Arc<Upstream>| {
                            u.addr == server.addr && u.transport == server.transport
                        };
                        known.iter().find(same).cloned().unwrap_or_else(|| {
                            Arc::new(Upstream::new(server.addr, server.transport))
                        })
                    })
                    .collect();
                RouteState::new(index as u16, route, upstreams)
            })
            .collect()
    }

    fn servers(&self, route: &Route, own: &[IpAddr]) -> Vec<UpstreamAddr> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut servers = Vec::new();
        for source in &route.upstreams {
            match source {
                UpstreamSource::Server(server) => servers.push(*server),
                UpstreamSource::ResolvConf(path) => {
                    let Some(content) = files.get(path) else { continue };
                    let found = resolv_conf::usable(&content.nameservers, &self.listen, own, false);
                    for refusal in &found.refused {
                        tracing::warn!(
                            route = route.name, file = %path.display(), server = %refusal.addr,
                            reason = %refusal.reason, "name server not used"
                        );
                    }
                    for warning in &found.warnings {
                        tracing::warn!(
                            route = route.name, file = %path.display(), server = %warning.addr,
                            reason = %warning.reason, "name server used with doubt"
                        );
                    }
                    servers.extend(
                        found
                            .servers
                            .into_iter()
                            .map(|addr| UpstreamAddr { addr, transport: Transport::Udp }),
                    );
                }
            }
        }
        if servers.is_empty() {
            tracing::error!(route = route.name, "no usable upstream: its names get SERVFAIL");
        }
        servers.truncate(MAX_UPSTREAMS);
        servers
    }

    fn rebuild(&self, server: &Server, why: &str) {
        let old = server.routes.load();
        let own = server.acls.load().own.clone();
        let new = self.build(&old, &own);
        let ids = |routes: &Routes| -> Vec<Vec<u32>> {
            routes.iter().map(|r| r.upstreams.iter().map(|u| u.id).collect()).collect()
        };
        if ids(&old) != ids(&new) {
            tracing::info!(why, "upstreams changed");
            server.set_routes(new);
        }
    }

    /// Follows the files and the host's addresses until the returned set is dropped.
    pub fn watch(self: &Arc<Upstreams>, server: Arc<Server>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let mut paths: Vec<PathBuf> = self.routes.iter().flat_map(files_of).cloned().collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            let (this, server) = (Arc::clone(self), Arc::clone(&server));
            tasks.spawn(async move {
                resolv_conf::watch_file(&path, resolv_conf::watch::EVERY, |content| {
                    let mut files = this.files.lock().unwrap_or_else(PoisonError::into_inner);
                    files.insert(path.clone(), content);
                    drop(files);
                    this.rebuild(&server, "resolver file");
                })
                .await;
            });
        }
        let this = Arc::clone(self);
        tasks.spawn(async move {
            addresses::watch_own(|own| {
                if server.acls.load().own != own {
                    server.set_own_addresses(own);
                    this.rebuild(&server, "addresses of this host");
                }
            })
            .await;
        });
        tasks
    }
}

fn files_of(route: &Route) -> impl Iterator<Item = &PathBuf> {
    route.upstreams.iter().filter_map(|source| match source {
        UpstreamSource::ResolvConf(path) => Some(path),
        UpstreamSource::Server(_) => None,
    })
}
