//! The internet: every kind of answer.

use super::*;
use RecordType::{A, AAAA, CAA, DS, HTTPS, MX, NS, PTR, SOA, SRV, SVCB, TXT};

#[tokio::test]
async fn common_types() {
    let server = served(zones::internet()).await;
    for (owner, kind, records) in [
        ("example.com.", A, &["A 192.0.2.1"][..]),
        ("example.com.", AAAA, &["AAAA 2001:db8::1"]),
        ("example.org.", A, &["A 192.0.2.2"]),
        ("example.net.", AAAA, &["AAAA 2001:db8::3"]),
        ("example.com.", MX, &["MX 10 mail.example.com.", "MX 20 mail.example.net."]),
        ("example.com.", TXT, &["TXT v=spf1 mx -all"]),
        ("example.com.", NS, &["NS ns1.example.com."]),
        ("anything.apps.example.com.", A, &["A 192.0.2.200"]),
        ("80.2.0.192.in-addr.arpa.", PTR, &["PTR www.example.com."]),
        ("_sip._tcp.example.com.", SRV, &["SRV 0 5 5060 www.example.com."]),
    ] {
        let records: Vec<String> = records.iter().map(|one| format!("{owner} 300 {one}")).collect();
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        expect(&server, owner, kind, &records).await;
    }
    let answer = ask(&server, "example.com.", MX).await;
    assert_eq!(answer.additionals.len(), 2, "the addresses of both exchanges");
}

#[tokio::test]
async fn bindings_and_authorizations() {
    let server = served(zones::internet()).await;
    let answer = ask(&server, "www.example.com.", HTTPS).await;
    let RData::HTTPS(https) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!(https.0.svc_params.len(), 3);
    let answer = ask(&server, "_dns.dns.example.net.", SVCB).await;
    let RData::SVCB(svcb) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!((svcb.svc_priority, &svcb.target_name), (1, &name("dns.example.net.")));
    let answer = ask(&server, "example.com.", CAA).await;
    let RData::CAA(caa) = &answer.answers[0].data else { panic!("{answer}") };
    assert_eq!((caa.tag.as_str(), caa.value.as_slice()), ("issue", &b"ca.example.net"[..]));
}

#[tokio::test]
async fn aliases() {
    let server = served(zones::internet()).await;
    let chain = ask(&server, "cdn.example.com.", A).await;
    let owners: Vec<String> = chain.answers.iter().map(|one| one.name.to_string()).collect();
    let expected =
        ["cdn.example.com.", "edge.example.net.", "pop.example.org.", "node.example.org."];
    assert_eq!(owners, expected, "in the order of the chain");
    assert_eq!(chain.answers[3].data, zones::a("198.51.100.77"));

    let loose = ask(&server, "dangling.example.com.", A).await;
    assert_eq!(loose.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(shown(&loose.answers), ["dangling.example.com. 300 CNAME nowhere.example.net."]);
    assert_eq!(loose.authorities[0].name, name("example.net."));

    let endless = ask(&server, "loop.example.com.", A).await;
    assert_eq!(endless.answers.len(), 9, "a loop ends");

    expect(
        &server,
        "trap.example.com.",
        A,
        &["trap.example.com. 300 CNAME db.c.binrc.com.", "db.c.binrc.com. 300 A 203.0.113.66"],
    )
    .await;
}

#[tokio::test]
async fn what_is_not_there() {
    let server = served(zones::internet()).await;
    for (question, soa) in [
        (("nothing.example.com.", A), ("example.com.", 60)),
        (("nothing.example.", A), (".", 86_400)),
        (("db.c.binrc.com.", A), (".", 86_400)),
        (("kubernetes.default.svc.cluster.local.", A), (".", 86_400)),
        (("n.bulk.example.", A), ("bulk.example.", 60)),
        (("99.2.0.192.in-addr.arpa.", PTR), (".", 86_400)),
    ] {
        expect_negative(&server, question, ResponseCode::NXDomain, soa).await;
    }
    for (question, soa) in [
        (("v4only.example.com.", AAAA), ("example.com.", 60)),
        (("empty.example.com.", A), ("example.com.", 60)),
        (("apps.example.com.", A), ("example.com.", 60)),
        (("www.example.org.", MX), ("example.org.", 60)),
        (("com.", DS), (".", 86_400)),
        (("n1.bulk.example.", TXT), ("bulk.example.", 60)),
    ] {
        let answer = ask(&server, question.0, question.1).await;
        if answer.answers.is_empty() {
            expect_negative(&server, question, ResponseCode::NoError, soa).await;
        } else {
            assert_eq!(shown(&answer.answers), ["www.example.org. 300 CNAME example.org."]);
            assert_eq!(answer.authorities[0].name, name(soa.0), "NODATA behind an alias");
        }
    }
    expect(&server, ".", SOA, &[
        ". 86400 SOA a.root-servers.net. nstld.root-servers.net. 2026010100 1800 900 604800 86400",
    ])
    .await;
}

#[tokio::test]
async fn large_answers() {
    let server = served(zones::internet()).await;
    let big = question("big.example.com.", TXT);
    let (plain, len) = over_udp(server.addr(), &big).await;
    assert!(plain.metadata.truncation && len <= 512, "{len}");
    assert_eq!((plain.answers.len(), plain.edns), (2, None));

    let (larger, len) = over_udp(server.addr(), &with_size(big.clone(), 1232)).await;
    assert!(larger.metadata.truncation && len <= 1232, "{len}");
    assert_eq!(larger.answers.len(), 5);
    assert!(larger.edns.is_some(), "there is always room for the OPT");

    let whole = over_tcp(server.addr(), &with_size(big, 1232)).await;
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 16);

    let many = ask(&server, "many.example.com.", A).await;
    assert_eq!(many.answers.len(), 30);
    let (cut, len) = over_udp(server.addr(), &question("many.example.com.", A)).await;
    assert!(cut.metadata.truncation && len <= 512, "{len}");
    assert!((20..30).contains(&cut.answers.len()));
}

#[tokio::test]
async fn bulk_names() {
    let server = served(zones::internet()).await;
    for (n, v4, v6) in [
        (0, "198.18.0.0", "2001:db8:b::"),
        (99_999, "198.19.134.159", "2001:db8:b::1:869f"),
        (131_072, "198.18.0.0", "2001:db8:b::2:0"),
    ] {
        let owner = format!("n{n}.bulk.example.");
        expect(&server, &owner, A, &[&format!("{owner} 3600 A {v4}")]).await;
        expect(&server, &owner, AAAA, &[&format!("{owner} 3600 AAAA {v6}")]).await;
    }
}
