//! The CNI plugin, and the tool that puts it on a node.
//!
//! A runtime sets CNI_COMMAND and gets the plugin; a person gives arguments and gets the tool. The
//! plugin needs no daemon, no network and no files but its own, and starts no runtime of async tasks.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use horizond::cni::command;
use horizond::cni::environment::Call;
use horizond::cni::error::CniError;
use horizond::cni::input;
use horizond::cni::redirect::Nft;
use horizond::cni::verbs::{self, Outcome};

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let is_asked = variable("CNI_COMMAND").is_some_and(|command| !command.is_empty());
    // Nobody but a person sits before a terminal.
    if !is_asked && (!arguments.is_empty() || io::stdin().is_terminal()) {
        return command::run(&arguments);
    }
    plugin(&Call::read(variable))
}

fn plugin(call: &Result<Call, CniError>) -> ExitCode {
    let (stdin, outcome) = match input::read(io::stdin(), input::PATIENCE) {
        Ok(stdin) => {
            let outcome = verbs::run(call, &stdin, &Nft, SystemTime::now());
            (stdin, outcome)
        }
        Err(error) => (vec![], Outcome::of(&CniError::Io(format!("standard input: {error}")))),
    };
    warn(&outcome);
    if let Err(error) = print(&outcome.stdout) {
        warn_line(&format!("standard output: {error}"));
        // Nobody learned that this pod is attached: it is not.
        if let (Ok(Call::Add(attach)), false) = (call, outcome.failed) {
            let undo = Ok(Call::Del(attach.clone().into()));
            warn(&verbs::run(&undo, &stdin, &Nft, SystemTime::now()));
        }
        return ExitCode::FAILURE;
    }
    if outcome.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

fn warn(outcome: &Outcome) {
    outcome.warnings.iter().for_each(|warning| warn_line(warning));
}

/// For the runtime's log. A runtime that does not listen loses nothing that it acts on.
fn warn_line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "horizond-cni: {text}");
}
