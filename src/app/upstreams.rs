//! From configured sources to the servers that are asked, again whenever a source changes; and to the
//! suffixes that come from a file with them.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::config::{Config, MAX_UPSTREAMS, Route, Transport, UpstreamAddr, UpstreamSource};
use crate::files::watch::EVERY;
use crate::headcni::{self, Block, Learnt, ReadError};
use crate::node::addresses;
use crate::resolv_conf::{self, ResolvConf};
use crate::serve::Server;
use crate::upstream::{RouteState, Routes, Upstream};

/// The routes' sources and what the files among them said last.
pub struct Upstreams {
    routes: Vec<Route>,
    listen: Vec<SocketAddr>,
    files: Mutex<HashMap<PathBuf, ResolvConf>>,
    /// What a route has from HeadCNI's file, where one has such a file.
    learnt: Mutex<Option<Learnt>>,
    /// What the log was told about each route's servers when they were last looked at.
    told: Mutex<HashMap<u16, HashSet<String>>>,
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
        let mut learnt = Learnt::of(&config.routes);
        if let Some(learnt) = &mut learnt {
            let before = learnt.clone();
            learnt.take(headcni::read(&learnt.file), &config.routes);
            tell(learnt, &before, &config.routes);
        }
        Arc::new(Upstreams {
            routes: config.routes.clone(),
            listen: config.listen.addresses.clone(),
            files: Mutex::new(files),
            learnt: Mutex::new(learnt),
            told: Mutex::default(),
        })
    }

    /// Gives the server the suffixes that are known from HeadCNI's file, before it serves.
    pub fn teach(&self, server: &Server) {
        if let Some(learnt) = self.learnt() {
            if !learnt.suffixes.is_empty() {
                server.set_suffixes(learnt.table(&self.routes), learnt.suffixes.clone());
            }
            server.set_learnt(learnt);
        }
    }

    fn learnt(&self) -> Option<Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in what one look at HeadCNI's file has brought.
    fn learn(&self, look: Result<Block, ReadError>, server: &Server) {
        let Some(before) = self.learnt() else { return };
        let mut learnt = before.clone();
        learnt.take(look, &self.routes);
        if learnt == before {
            return;
        }
        tell(&learnt, &before, &self.routes);
        *self.learnt.lock().unwrap_or_else(PoisonError::into_inner) = Some(learnt.clone());
        let moved = learnt.moved(&before);
        // Names come to a route that has servers, and leave one that has them still.
        let others = learnt.servers != before.servers;
        let leaving = learnt.servers.is_empty();
        if others && !leaving {
            self.rebuild(server, "HeadCNI's file");
        }
        if !moved.is_empty() {
            let forgotten = server.set_suffixes(learnt.table(&self.routes), moved);
            tracing::info!(forgotten, "suffixes changed");
        }
        if others && leaving {
            self.rebuild(server, "HeadCNI's file");
        }
        server.set_learnt(learnt);
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
                    .servers(index as u16, route, own)
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

    /// A route's servers. The log hears of what speaks against one when that is new, not each time the
    /// host gets or loses an address, as it does with every pod.
    fn servers(&self, index: u16, route: &Route, own: &[IpAddr]) -> Vec<UpstreamAddr> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.remove(&index).unwrap_or_default();
        let mut now = HashSet::new();
        let mut is_new = |what: String| {
            let new = !before.contains(&what);
            now.insert(what);
            new
        };
        let mut servers = Vec::new();
        for source in &route.upstreams {
            match source {
                UpstreamSource::Server(server) => servers.push(*server),
                UpstreamSource::ResolvConf(path) => {
                    let Some(content) = files.get(path) else { continue };
                    let found = resolv_conf::usable(&content.nameservers, &self.listen, own, false);
                    let file = path.display();
                    for (server, why) in found.refused.iter().map(|r| (r.addr, &r.reason)) {
                        if is_new(format!("{file} {server} {why}")) {
                            tracing::warn!(
                                route = route.name, %file, %server, reason = %why,
                                "name server not used"
                            );
                        }
                    }
                    for (server, why) in found.warnings.iter().map(|w| (w.addr, &w.reason)) {
                        if is_new(format!("{file} {server} {why}")) {
                            tracing::warn!(
                                route = route.name, %file, %server, reason = %why,
                                "name server used with doubt"
                            );
                        }
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
        if let Some(learnt) = self.learnt().filter(|learnt| learnt.route == index) {
            let found = learnt.usable(&self.listen, own);
            for said in &found.said {
                if is_new(said.to_string()) {
                    tracing::warn!(
                        route = route.name, file = %learnt.file.display(), server = %said,
                        "name server of HeadCNI's file"
                    );
                }
            }
            servers.extend(found.servers);
        }
        if servers.is_empty() && is_new("none".into()) {
            tracing::error!(route = route.name, "no usable upstream: its names get SERVFAIL");
        }
        told.insert(index, now);
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
                resolv_conf::watch_file(&path, EVERY, |content| {
                    let mut files = this.files.lock().unwrap_or_else(PoisonError::into_inner);
                    files.insert(path.clone(), content);
                    drop(files);
                    this.rebuild(&server, "resolver file");
                })
                .await;
            });
        }
        if let Some(path) = self.learnt().map(|learnt| learnt.file) {
            let (this, server) = (Arc::clone(self), Arc::clone(&server));
            tasks.spawn(async move {
                headcni::follow(&path, EVERY, |look| this.learn(look, &server)).await;
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

/// Tells the log what has changed in what a route has from HeadCNI's file.
fn tell(learnt: &Learnt, before: &Learnt, routes: &[Route]) {
    let Some(route) = routes.get(usize::from(learnt.route)) else { return };
    let (name, origin) = (&route.name, learnt.origin());
    if learnt.fault != before.fault || learnt.off != before.off {
        let private = !learnt.suffixes.is_empty() || !route.suffixes.is_empty();
        match learnt.trouble() {
            Some(what) if learnt.key.is_none() && !private => tracing::error!(
                route = name, %what,
                "no suffix is known: its names go where other routes lead, until the file can be read"
            ),
            Some(what) => tracing::warn!(route = name, %what, "HeadCNI's file"),
            None if before.fault.is_some() => {
                tracing::info!(route = name, from = origin, "HeadCNI's file: good again");
            }
            None => {}
        }
    }
    if (&learnt.suffixes, &learnt.servers) != (&before.suffixes, &before.servers) {
        tracing::info!(
            route = name, from = origin, suffixes = ?learnt.suffixes,
            servers = ?learnt.servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            left = ?learnt.left, "taken from HeadCNI's file"
        );
    }
    for what in learnt.refused.iter().filter(|what| !before.refused.contains(what)) {
        tracing::warn!(route = name, from = origin, %what, "HeadCNI's file: passed over");
    }
}

fn files_of(route: &Route) -> impl Iterator<Item = &PathBuf> {
    route.upstreams.iter().filter_map(|source| match source {
        UpstreamSource::ResolvConf(path) => Some(path),
        UpstreamSource::Server(_) => None,
    })
}
