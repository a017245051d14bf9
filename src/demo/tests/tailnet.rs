//! The tailnet as MagicDNS would answer for it.

use super::*;
use RecordType::{A, AAAA, PTR, TXT};

#[tokio::test]
async fn hosts() {
    let server = served(zones::tailnet()).await;
    for (owner, kind, record) in [
        ("db.c.binrc.com.", A, "10 A 100.64.0.10"),
        ("db.c.binrc.com.", AAAA, "10 AAAA fd7a:115c:a1e0::10"),
        ("web.c.binrc.com.", A, "10 A 100.64.0.11"),
        ("node-1.c.binrc.com.", AAAA, "10 AAAA fd7a:115c:a1e0::201"),
        ("h99999.bulk.c.binrc.com.", A, "30 A 100.81.134.159"),
        ("10.0.64.100.in-addr.arpa.", PTR, "10 PTR db.c.binrc.com."),
        (
            "0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa.",
            PTR,
            "10 PTR db.c.binrc.com.",
        ),
    ] {
        expect(&server, owner, kind, &[&format!("{owner} {record}")]).await;
    }
}

#[tokio::test]
async fn unknown_names_are_failures() {
    let server = served(zones::tailnet()).await;
    for owner in
        ["nobody.c.binrc.com.", "x.db.c.binrc.com.", "c.binrc.com.", "n1.bulk.c.binrc.com."]
    {
        let answer = ask(&server, owner, A).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail, "{owner}");
        assert_eq!((answer.answers, answer.authorities), (vec![], vec![]), "{owner}");
    }
}

#[tokio::test]
async fn negative_answers_carry_no_soa() {
    let server = served(zones::tailnet()).await;
    let answer = expect(&server, "db.c.binrc.com.", TXT, &[]).await;
    assert_eq!(answer.authorities, []);
    for owner in ["99.0.64.100.in-addr.arpa.", "1.2.127.100.in-addr.arpa."] {
        let answer = ask(&server, owner, PTR).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{owner}");
        assert_eq!(answer.authorities, [], "{owner}");
    }
    let answer = ask(&server, "1.0.128.100.in-addr.arpa.", PTR).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "not in 100.64.0.0/10");
}
