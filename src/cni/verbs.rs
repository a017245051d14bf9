//! The verbs of CNI: what a runtime asks for is done, and what it is told is made.
//!
//! Each verb has a file. Nothing here reads standard input, prints or ends the process: the binary
//! does. Time and the [`Redirector`] come from outside, so that tests own them.

use std::time::SystemTime;

use serde_json::json;

use super::environment::{Attach, Call, Detach};
use super::error::CniError;
use super::json::wrong;
use super::record::{Identity, PodRecord};
use super::records::Records;
use super::redirect::Redirector;
use super::standin::Pair;
use super::types::{Cleanup, Conf, PrevResult, Version};

mod add;
mod check;
mod del;
mod gc;
mod status;

/// Numbers of our own errors, above 100.
mod number {
    /// ADD: the redirect is required and cannot be made.
    pub const REDIRECT: u16 = 0;
    /// CHECK: the pod record is not as ADD left it.
    pub const RECORD_GONE: u16 = 1;
    /// CHECK: the redirect is not as ADD left it.
    pub const REDIRECT_GONE: u16 = 2;
}

/// What a runtime is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output: a result, an error, or nothing.
    pub stdout: String,
    /// Lines for standard error, for people.
    pub warnings: Vec<String>,
    /// Whether the exit status must say so.
    pub failed: bool,
}

impl Outcome {
    /// An error before a word of the runtime's was understood.
    pub fn of(error: &CniError) -> Outcome {
        Outcome { stdout: error.to_json(Version::LATEST), warnings: vec![], failed: true }
    }
}

/// Does what a runtime asks for. `call` is what it says in the environment, `stdin` what it says on
/// standard input.
pub fn run(
    call: &Result<Call, CniError>,
    stdin: &[u8],
    redirector: &dyn Redirector,
    now: SystemTime,
) -> Outcome {
    let mut warnings = Vec::new();
    let done = call.clone().and_then(|call| dispatch(call, stdin, redirector, now, &mut warnings));
    match done {
        Ok(stdout) => Outcome { stdout, warnings, failed: false },
        Err(error) => {
            let stdout = error.to_json(Version::to_answer(stdin));
            Outcome { stdout, warnings, failed: true }
        }
    }
}

fn dispatch(
    call: Call,
    stdin: &[u8],
    redirector: &dyn Redirector,
    now: SystemTime,
    warnings: &mut Vec<String>,
) -> Result<String, CniError> {
    let silently = |()| String::new();
    match call {
        Call::Add(attach) => {
            let mut add = add::Add { redirector, now, warnings };
            add.run(&attach, Conf::parse(stdin)?).map(|result| result.to_string())
        }
        Call::Check(attach) => check::check(&attach, Conf::parse(stdin)?, redirector).map(silently),
        Call::Del(detach) => {
            del::del(&detach, &Cleanup::parse(stdin)?, redirector, now, warnings);
            Ok(String::new())
        }
        Call::Gc => gc::gc(&Cleanup::parse(stdin)?, now, warnings).map(silently),
        Call::Status => status::status(&Conf::parse(stdin)?, redirector).map(silently),
        Call::Version => Ok(version(stdin)),
    }
}

/// VERSION is asked by runtimes that do not know yet what to say: whatever they say will do.
fn version(stdin: &[u8]) -> String {
    json!({
        "cniVersion": Version::to_answer(stdin).as_str(),
        "supportedVersions": Version::ALL.map(Version::as_str),
    })
    .to_string()
}

fn previous(previous: Option<PrevResult>) -> Result<PrevResult, CniError> {
    previous.ok_or_else(|| {
        wrong("prevResult", "missing; this plugin comes after the one that makes the interface")
    })
}

/// What is redirected in a container's network namespace, where several attachments can share one:
/// the pairs of all its records, each address once, in the records' order. `own` stands for those of the
/// attachment in question, whatever lies on disk; `record` tells which namespace it is.
fn of_namespace(
    records: &Records,
    identity: &Identity,
    record: &PodRecord,
    own: &[Pair],
) -> Result<Vec<Pair>, CniError> {
    // Damaged ones have nothing to tell.
    let found = records.list(&format!("_{}_", identity.container))?.records;
    let mut all: Vec<(Identity, Vec<Pair>)> = found
        .into_iter()
        .filter(|(whose, other)| {
            whose != identity
                && whose.container == identity.container
                && other.is_in_namespace_of(record)
        })
        .map(|(whose, other)| (whose, other.redirect))
        .collect();
    all.push((identity.clone(), own.to_vec()));
    all.sort();
    let mut pairs: Vec<Pair> = Vec::new();
    for pair in all.into_iter().flat_map(|(_, pairs)| pairs) {
        let taken = |(a, b): &Pair| [*a, *b].iter().any(|ip| *ip == pair.0 || *ip == pair.1);
        if !pairs.iter().any(taken) {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

impl Attach {
    fn identity(&self, network: &super::names::NetworkName) -> Identity {
        Identity {
            network: network.clone(),
            container: self.container.clone(),
            interface: self.interface.clone(),
        }
    }
}

impl Detach {
    fn identity(&self, network: &super::names::NetworkName) -> Identity {
        Identity {
            network: network.clone(),
            container: self.container.clone(),
            interface: self.interface.clone(),
        }
    }
}

/// What undoes an ADD whose result could not be told.
impl From<Attach> for Detach {
    fn from(attach: Attach) -> Detach {
        Detach {
            container: attach.container,
            netns: Some(attach.netns),
            interface: attach.interface,
        }
    }
}

#[cfg(test)]
mod tests;
