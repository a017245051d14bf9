//! delv, run to its end.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::real::Ground;
use crate::real::servers::tool;
use crate::real::service::output;
use crate::zones::PARENT;

/// A validator that asks one server.
pub struct Delv {
    server: SocketAddr,
    anchor: PathBuf,
}

/// What delv is sure of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Records with a chain of signatures from the trust anchor.
    Secure,
    /// A proof that there are none.
    SecureDenial,
    /// A proof that there need be no signatures.
    Insecure,
    /// Neither.
    Refused,
}

impl Delv {
    pub fn new(ground: &Ground, server: SocketAddr, anchor: &str) -> Self {
        Self { server, anchor: ground.file("anchor", anchor) }
    }

    /// Asks for `name` below the parent (`@` for itself), with RRset type and transport (`+tcp`,
    /// `+notcp`), and gives the verdict and all that delv printed.
    pub fn ask(&self, name: &str, rtype: &str, transport: &str) -> (Verdict, String) {
        let name = if name == "@" { PARENT.into() } else { format!("{name}.{PARENT}") };
        let mut command = tool("delv");
        command.arg(format!("@{}", self.server.ip())).args(["-p", &self.server.port().to_string()]);
        command.arg("-a").arg(&self.anchor).arg(format!("+root={PARENT}"));
        let output = output(command.args([transport, "+vtrace", &name, rtype]));
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // Of an alias it speaks first, and then of where that leads.
        let says = |what: &str| text.contains(what);
        let verdict = if says("resolution failed: ncache") {
            let proved = says("; negative response, fully validated")
                || says("; fully validated") && says(": nonexistence proof(s) found");
            match proved {
                true => Verdict::SecureDenial,
                false if says("; negative response, unsigned answer") => Verdict::Insecure,
                false => Verdict::Refused,
            }
        } else if says("resolution failed: ") {
            Verdict::Refused
        } else if says("; fully validated") {
            Verdict::Secure
        } else if says("; unsigned answer") {
            Verdict::Insecure
        } else {
            Verdict::Refused
        };
        (verdict, text)
    }

    /// Panics unless the verdict is this one.
    pub fn expect(&self, name: &str, rtype: &str, transport: &str, expected: Verdict) -> String {
        let (verdict, text) = self.ask(name, rtype, transport);
        assert_eq!(verdict, expected, "{name} {rtype} {transport}:\n{text}");
        text
    }
}
