//! The cluster as CoreDNS would answer for it.

use super::*;
use RecordType::{A, AAAA, CNAME, HTTPS, NS, PTR, SOA, SRV, TXT};

#[tokio::test]
async fn services() {
    let server = served(zones::cluster()).await;
    for (owner, kind, records) in [
        ("kubernetes.default.svc", A, &["5 A 10.96.0.1"][..]),
        ("kube-dns.kube-system.svc", A, &["5 A 10.96.0.10"]),
        ("kube-dns.kube-system.svc", AAAA, &["5 AAAA fd00:10:96::a"]),
        ("api.default.svc", A, &["5 A 10.96.12.7"]),
        ("api.default.svc", AAAA, &["5 AAAA fd00:10:96::c07"]),
        ("web.default.svc", A, &["5 A 10.244.1.5", "5 A 10.244.2.5", "5 A 10.244.3.5"]),
        ("web-0.web.default.svc", A, &["5 A 10.244.1.5"]),
        ("web-2.web.default.svc", AAAA, &["5 AAAA fd00:10:244:3::5"]),
        ("10-244-2-21.workers.default.svc", A, &["5 A 10.244.2.21"]),
        ("10-244-1-5.default.pod", A, &["5 A 10.244.1.5"]),
        ("fd00-10-244-1--5.default.pod", AAAA, &["5 AAAA fd00:10:244:1::5"]),
        ("dns-version", TXT, &["28800 TXT 1.1.0"]),
        ("ns.dns", A, &["5 A 10.96.0.10"]),
        ("s12345.bulk.svc", A, &["30 A 10.100.48.57"]),
        ("s262144.bulk.svc", A, &["30 A 10.100.0.0"]),
    ] {
        let owner = format!("{owner}.cluster.local.");
        let records: Vec<String> = records.iter().map(|one| format!("{owner} {one}")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        expect(&server, &owner, kind, &records).await;
    }
}

#[tokio::test]
async fn ports() {
    let server = served(zones::cluster()).await;
    let owner = "_http._tcp.web.default.svc.cluster.local.";
    let target = |n: u8| format!("web-{n}.web.default.svc.cluster.local.");
    let srv = |n| format!("{owner} 5 SRV 0 16 8080 {}", target(n));
    let expected = [srv(0), srv(1), srv(2)];
    let answer = expect(&server, owner, SRV, &expected.each_ref().map(String::as_str)).await;
    let addresses = shown(&answer.additionals);
    assert_eq!(addresses.len(), 6);
    assert!(addresses.contains(&format!("{} 5 A 10.244.2.5", target(1))), "{addresses:?}");
    assert!(addresses.contains(&format!("{} 5 AAAA fd00:10:244:2::5", target(1))));
    expect(
        &server,
        "_dns._udp.kube-dns.kube-system.svc.cluster.local.",
        SRV,
        &["_dns._udp.kube-dns.kube-system.svc.cluster.local. 5 SRV 0 50 53 \
         kube-dns.kube-system.svc.cluster.local."],
    )
    .await;
    let all = ask(&server, "api.default.svc.cluster.local.", SRV).await;
    assert_eq!(all.answers.len(), 2, "a Service's own name has the SRV records of all its ports");
}

#[tokio::test]
async fn apex() {
    let server = served(zones::cluster()).await;
    let soa = "cluster.local. 5 SOA ns.dns.cluster.local. hostmaster.cluster.local. \
               1767225600 7200 1800 86400 5";
    expect(&server, "cluster.local.", SOA, &[soa]).await;
    let ns = "cluster.local. 5 NS kube-dns.kube-system.svc.cluster.local.";
    let answer = expect(&server, "cluster.local.", NS, &[ns]).await;
    assert_eq!(answer.additionals.len(), 2);
}

#[tokio::test]
async fn the_case_of_the_question_is_kept() {
    let server = served(zones::cluster()).await;
    let owner = "KuberNetes.DEFAULT.svc.Cluster.local.";
    let answer =
        expect(&server, owner, A, &["KuberNetes.DEFAULT.svc.Cluster.local. 5 A 10.96.0.1"]);
    let answer = answer.await;
    assert!(answer.queries[0].name().eq_case(&name(owner)));
}

#[tokio::test]
async fn reverse() {
    let server = served(zones::cluster()).await;
    for (owner, target) in [
        ("1.0.96.10.in-addr.arpa.", "kubernetes.default.svc.cluster.local."),
        ("7.12.96.10.in-addr.arpa.", "api.default.svc.cluster.local."),
        ("5.1.244.10.in-addr.arpa.", "web-0.web.default.svc.cluster.local."),
        ("20.1.244.10.in-addr.arpa.", "10-244-1-20.workers.default.svc.cluster.local."),
        (
            "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.",
            "kube-dns.kube-system.svc.cluster.local.",
        ),
    ] {
        expect(&server, owner, PTR, &[&format!("{owner} 5 PTR {target}")]).await;
    }
    let nobody = ("9.9.96.10.in-addr.arpa.", PTR);
    expect_negative(&server, nobody, ResponseCode::NXDomain, ("in-addr.arpa.", 5)).await;
}

#[tokio::test]
async fn what_is_not_there() {
    let server = served(zones::cluster()).await;
    let soa = ("cluster.local.", 5);
    for owner in [
        "nothing.default.svc",
        "nothing",
        "web-7.web.default.svc",
        "idle.default.svc",
        "_tcp.web.default.svc",
        "dns",
        "web.other.svc",
        "10-244-1-5.other.pod",
        "10-244-1.default.pod",
        "s.bulk.svc",
        "s1x.bulk.svc",
        "s1234567890.bulk.svc",
        "t1.bulk.svc",
        "s1.default.svc",
        "x.s1.bulk.svc",
    ] {
        let owner = format!("{owner}.cluster.local.");
        expect_negative(&server, (&owner, A), ResponseCode::NXDomain, soa).await;
    }
    for (owner, kind) in [
        ("cluster.local.", A),
        ("svc.cluster.local.", A),
        ("pod.cluster.local.", A),
        ("default.svc.cluster.local.", AAAA),
        ("default.pod.cluster.local.", A),
        ("v4only.default.svc.cluster.local.", AAAA),
        ("kubernetes.default.svc.cluster.local.", HTTPS),
        ("s1.bulk.svc.cluster.local.", AAAA),
        ("vpn-db.default.svc.cluster.local.", HTTPS),
    ] {
        expect_negative(&server, (owner, kind), ResponseCode::NoError, soa).await;
    }
}

#[tokio::test]
async fn external_names_are_chased_as_far_as_the_cluster_sees() {
    let server = served(zones::cluster()).await;
    let db = "vpn-db.default.svc.cluster.local. 5 CNAME db.c.binrc.com.";
    expect(&server, "vpn-db.default.svc.cluster.local.", A, &[db]).await;
    expect(&server, "vpn-db.default.svc.cluster.local.", CNAME, &[db]).await;
    let web = "vpn-web.default.svc.cluster.local. 5 CNAME web.c.binrc.com.";
    let made_up = "web.c.binrc.com. 5 A 203.0.113.66";
    expect(&server, "vpn-web.default.svc.cluster.local.", A, &[web, made_up]).await;
    expect(&server, "vpn-web.default.svc.cluster.local.", AAAA, &[web]).await;
    expect(
        &server,
        "docs.default.svc.cluster.local.",
        AAAA,
        &[
            "docs.default.svc.cluster.local. 5 CNAME www.example.com.",
            "www.example.com. 5 AAAA 2001:db8::80",
        ],
    )
    .await;
}
