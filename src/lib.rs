//! horizond: a node-local split-horizon DNS forwarder.
//!
//! One process per node listens on a link-local address, decides by suffix which *horizon* a name
//! belongs to, and answers from its cache or from that horizon's upstreams, and from no other's.
//!
//! A query travels one road, with no way back; the modules stand along it in this order:
//!
//! ```text
//! listen ─► admit ─► cache ──hit───────────────────────────────► respond ─► listen
//!                      │ miss                                       ▲
//!                      └─► local ─► route ─► coalesce ─► upstream ─► accept
//! ```
//!
//! | module | its part |
//! | --- | --- |
//! | [`listen`] | sockets, batches, connections, deadlines; knows no DNS policy |
//! | [`admit`] | may this client ask |
//! | [`cache`] | answers as wire bytes, ready to send |
//! | [`local`] | names that need no upstream; after the cache, which never holds them |
//! | [`route`] | the longest suffix, or the longest prefix behind a reverse name |
//! | [`coalesce`] | identical questions in flight are one exchange |
//! | [`upstream`] | sockets, connections, retries, health of the upstreams |
//! | [`accept`] | judges what came back before anything believes it |
//! | [`respond`] | id, case, flags, TTLs, EDNS, truncation |
//! | [`serve`] | puts the stations in a row; the only one that knows them all |
//!
//! Beside the road: [`wire`] (messages as bytes), [`answer`] (what is kept of one), [`compose`] (one
//! made of several), [`dns64`] (IPv6 addresses made of IPv4 ones), [`time`], [`sys`] (system calls;
//! the only unsafe code), [`config`], [`node`], [`resolv_conf`], [`headcni`] and [`files`] (the host), [`pods`] (who asks, as the CNI plugin wrote it down), [`telemetry`] and [`admin`] (what it tells), [`demo`] (three horizons on loopback),
//! and [`app`], which builds everything and takes it down again.
//!
//! A hit never leaves its shard's thread and builds no message. A miss takes a slot of its shard's
//! engine, whose sockets are in the shard's epoll; while none is under way a shard with one socket
//! sleeps in the receiving call.

pub mod accept;
pub mod admin;
pub mod admit;
pub mod answer;
pub mod app;
pub mod cache;
pub mod cni;
pub mod coalesce;
pub mod compose;
pub mod config;
pub mod demo;
pub mod dns64;
pub mod files;
pub mod headcni;
pub mod listen;
pub mod local;
pub mod node;
pub mod pods;
pub mod resolv_conf;
pub mod respond;
pub mod route;
pub mod serve;
pub mod sys;
pub mod telemetry;
pub mod time;
pub mod upstream;
pub mod wire;
