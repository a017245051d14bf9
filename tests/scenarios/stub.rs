//! A stock resolver library as the client: whatever it makes of our answers is what programs get.

use std::net::SocketAddr;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{Resolver, TokioResolver};
use horizond::demo::Servers;

use crate::world::World;

fn resolver(server: SocketAddr, connections: &[fn() -> ConnectionConfig]) -> TokioResolver {
    let connections = connections.iter().map(|make| {
        let mut connection = make();
        connection.port = server.port();
        connection
    });
    let name_server = NameServerConfig::new(server.ip(), true, connections.collect());
    let config = ResolverConfig::from_name_servers(vec![name_server]);
    let provider = TokioRuntimeProvider::default();
    Resolver::builder_with_config(config, provider).build().unwrap()
}

async fn addresses(resolver: &TokioResolver, name: &str) -> Vec<String> {
    let found = resolver.lookup_ip(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    found.iter().map(|address| address.to_string()).collect()
}

async fn look_around(resolver: &TokioResolver) {
    let web = addresses(resolver, "api.default.svc.cluster.local.").await;
    assert!(web.iter().any(|address| address.starts_with("10.96.")), "{web:?}");
    let db = addresses(resolver, "db.c.binrc.com.").await;
    assert!(db.iter().any(|address| address.starts_with("100.64.")), "{db:?}");
    let www = addresses(resolver, "www.example.com.").await;
    assert!(!www.is_empty() && !www[0].starts_with("10."), "{www:?}");
    let many = resolver.lookup("many.example.com.", RecordType::A).await.unwrap();
    assert_eq!(many.answers().len(), 30);
    let missing = resolver.lookup_ip("nothing.example.com.").await.unwrap_err();
    assert!(missing.is_no_records_found() && missing.is_nx_domain(), "{missing}");
}

#[test]
fn a_stock_resolver_gets_along_over_udp_and_tcp() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let servers = Servers::start().await.unwrap();
        let toml = format!(
            "[[route]]\nname = \"cluster\"\nsuffixes = [\"cluster.local\"]\n\
             upstreams = [\"tcp://{}\"]\n\
             [[route]]\nname = \"tailnet\"\nsuffixes = [\"c.binrc.com\"]\nupstreams = [\"{}\"]\n\
             [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"{}\"]\n",
            servers.cluster, servers.tailnet, servers.internet
        );
        let world = World::start(&toml, 1).unwrap();
        look_around(&resolver(world.addr, &[ConnectionConfig::udp])).await;
        look_around(&resolver(world.addr, &[ConnectionConfig::tcp])).await;
        // Too large for a datagram: it comes back for the rest over TCP.
        let both = resolver(world.addr, &[ConnectionConfig::udp, ConnectionConfig::tcp]);
        let big = both.lookup("big.example.com.", RecordType::TXT).await.unwrap();
        let alone = resolver(world.addr, &[ConnectionConfig::tcp]);
        let whole = alone.lookup("big.example.com.", RecordType::TXT).await.unwrap();
        assert!(!whole.answers().is_empty());
        assert_eq!(big.answers().len(), whole.answers().len());
        drop(world);
        servers.stop().await.unwrap();
    });
}
