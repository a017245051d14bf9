//! What a person can ask the plugin's binary for: to be put on a node and into its network
//! configuration, to be taken out again, and to print its entry.

use std::ffi::OsString;
use std::process::ExitCode;

/// Exit code for wrong arguments.
const USAGE: u8 = 2;

/// Does what the arguments say.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let _ = arguments;
    ExitCode::from(USAGE)
}
