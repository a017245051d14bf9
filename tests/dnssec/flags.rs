//! AD, CD and DO, with a validating unbound between the daemon and the authority.

use std::net::SocketAddr;

use crate::real::Ground;
use crate::real::servers::{horizond, nsd, tool, unbound};
use crate::real::service::checked;
use crate::real::sign::Denial;
use crate::zones::{PARENT, family};

/// What dig printed of an answer.
struct Answer {
    status: String,
    flags: Vec<String>,
    text: String,
}

impl Answer {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|one| one == flag)
    }

    /// Whether the records came with their signatures.
    fn is_signed(&self) -> bool {
        self.text.contains("RRSIG")
    }
}

fn dig(server: SocketAddr, how: &str) -> Answer {
    let mut command = tool("dig");
    command.arg(format!("@{}", server.ip())).args(["-p", &server.port().to_string()]);
    command.args(["+tries=1", "+timeout=8", "+nocookie", "+noadflag"]);
    let text = checked(command.args(how.split_whitespace()));
    let after = |marker: &str, end: char| {
        let rest = text.split_once(marker).map(|(_, rest)| rest).unwrap_or_default();
        rest.split(end).next().unwrap_or_default().to_owned()
    };
    Answer {
        status: after("status: ", ','),
        flags: after(";; flags: ", ';').split_whitespace().map(Into::into).collect(),
        text,
    }
}

#[test]
fn ad_cd_and_do_go_both_ways() {
    let ground = Ground::new();
    let family = family(&ground, Denial::Nsec);
    let authority = nsd(&ground, &family.zones);
    let validator = unbound(&ground, &[("", authority.addr)], Some(&family.ds), PARENT);
    let daemon = horizond(&ground, &[("", validator.addr)], PARENT);
    // Three times: cold; then what is kept for DO and CD must not be mixed up; over both transports.
    for transport in ["+notcp", "+tcp", "+notcp"] {
        let ask = |how: &str| dig(daemon.addr, &format!("{how} {transport}"));
        for name in
            ["www.signed.example A", "nowhere.signed.example A", "www.secure.signed.example MX"]
        {
            // DO or AD asks for AD; without both it is not given (RFC 6840, 5.7 and 5.8).
            for (how, vouched, signed) in [
                ("+dnssec", true, true),
                ("+adflag", true, false),
                ("+noedns +adflag", true, false),
                ("+dnssec +adflag", true, true),
                ("", false, false),
                ("+noedns", false, false),
            ] {
                let answer = ask(&format!("{name} {how}"));
                assert_eq!(answer.has("ad"), vouched, "{name} {how}:\n{}", answer.text);
                assert_eq!(answer.is_signed(), signed, "{name} {how}:\n{}", answer.text);
                assert!(!answer.has("cd") && !answer.has("aa"), "{}", answer.text);
            }
        }
        // What is not signed is not vouched for.
        let insecure = ask("www.insecure.signed.example A +dnssec +adflag");
        assert!(!insecure.has("ad") && insecure.status == "NOERROR", "{}", insecure.text);
        // What does not validate is a failure, but not for those who validate themselves.
        for _ in 0..2 {
            for how in ["+dnssec", "", "+adflag"] {
                let bogus = ask(&format!("www.expired.signed.example A {how}"));
                assert_eq!(bogus.status, "SERVFAIL", "{}", bogus.text);
                assert!(!bogus.has("ad") && !bogus.text.contains("192.0.2.80"), "{}", bogus.text);
            }
            let raw = ask("www.expired.signed.example A +dnssec +cdflag");
            assert!(raw.text.contains("192.0.2.80") && raw.is_signed(), "{}", raw.text);
            assert!(raw.status == "NOERROR" && raw.has("cd") && !raw.has("ad"), "{}", raw.text);
            let raw = ask("www.expired.signed.example A +cdflag");
            assert!(raw.text.contains("192.0.2.80") && !raw.is_signed(), "{}", raw.text);
        }
    }
}
