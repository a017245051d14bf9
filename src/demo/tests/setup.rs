//! The three servers together, their configuration, and the printed commands.

use super::super::tries::GROUPS;
use super::super::{CLUSTER, INTERNET, Servers, TAILNET, config, tries};
use super::*;
use crate::config::{Transport, UpstreamSource};

/// Where dig's question would go, and what it would be. `None` for questions about the forwarder.
fn routed<'a>(servers: &Servers, words: &'a str) -> Option<(SocketAddr, String, &'a str)> {
    let words: Vec<&str> = words.split_whitespace().filter(|word| !word.starts_with('+')).collect();
    match words[..] {
        ["CH", "TXT", _] => None,
        ["-x", address] => {
            let address: IpAddr = address.parse().unwrap();
            let tailnet = address.to_string().starts_with("100.");
            let server = if tailnet { servers.tailnet } else { servers.cluster };
            Some((server, hickory_proto::rr::Name::from(address).to_string(), "PTR"))
        }
        [owner, kind] => {
            let server = match owner {
                _ if owner.ends_with(".cluster.local") => servers.cluster,
                _ if owner.ends_with(".c.binrc.com") => servers.tailnet,
                _ => servers.internet,
            };
            Some((server, format!("{owner}."), kind))
        }
        _ => panic!("not a question: {words:?}"),
    }
}

#[tokio::test]
async fn every_question_that_is_printed_has_the_answer_that_is_promised() {
    let servers = Servers::start().await.unwrap();
    for one in GROUPS.iter().flat_map(|(_, tries)| *tries) {
        let Some((server, owner, kind)) = routed(&servers, one.question) else { continue };
        let answer = over_tcp(server, &question(&owner, kind.parse().unwrap())).await;
        let (code, found) = (answer.metadata.response_code, answer.answers.len());
        let expected = match one.shows {
            shows if shows.contains("SERVFAIL") => (ResponseCode::ServFail, true),
            shows if shows.starts_with("NXDOMAIN") => (ResponseCode::NXDomain, true),
            shows if shows.starts_with("NODATA") => (ResponseCode::NoError, true),
            _ => (ResponseCode::NoError, false),
        };
        assert_eq!((code, found == 0), expected, "{}", one.question);
    }
    servers.stop().await.unwrap();
}

#[test]
fn commands_stand_in_columns() {
    let text = tries("127.0.0.1:5300".parse().unwrap());
    assert_eq!(text.lines().filter(|line| line.starts_with("# ")).count(), GROUPS.len());
    let mut commands = 0;
    for group in text.split("\n\n") {
        let lines = group.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let columns: Vec<Option<usize>> = lines
            .map(|line| {
                assert!(line.starts_with("dig @127.0.0.1 -p 5300 "), "{line}");
                line.find('#')
            })
            .collect();
        commands += columns.len();
        assert!(columns.iter().all(|one| one.is_some() && *one == columns[0]), "{group}");
    }
    assert_eq!(commands, GROUPS.iter().map(|(_, tries)| tries.len()).sum::<usize>());
    assert!(tries("[::1]:53".parse().unwrap()).contains("dig @::1 -p 53 "));
}

#[tokio::test]
async fn the_configuration_leads_to_the_servers() {
    let servers = Servers::start().await.unwrap();
    assert_eq!(servers.cluster.ip(), CLUSTER);
    assert_eq!(servers.tailnet.ip(), TAILNET);
    assert_eq!(servers.internet.ip(), INTERNET);
    let listen = "127.0.0.1:5300".parse().unwrap();
    let config = config(listen, None, None, &servers);
    assert_eq!(config.listen.addresses, [listen]);
    let routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| match route.upstreams[..] {
            [UpstreamSource::Server(server)] => {
                (route.name.as_str(), server.addr, server.transport, route.private)
            }
            _ => panic!("{:?}", route.upstreams),
        })
        .collect();
    assert_eq!(
        routes,
        [
            ("cluster", servers.cluster, Transport::Tcp, true),
            ("tailnet", servers.tailnet, Transport::Udp, true),
            ("internet", servers.internet, Transport::Udp, false),
        ]
    );
    for route in &config.routes {
        assert_eq!(route.private, !route.suffixes.iter().any(|suffix| suffix.is_root()));
        assert!(route.timeout <= route.deadline);
        assert_eq!(route.servfail_as_nxdomain, route.name == "tailnet");
    }
    servers.stop().await.unwrap();
}
