//! What a person can ask the plugin's binary for: to be put on a node and into its network
//! configuration, to be taken out again, and to print its entry.
//!
//! The few arguments are read by hand: the library that the daemon reads its own with would be a fifth
//! of this binary.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::conflist;
use super::install::{self, Hands, InstallError, Lock, Place, Taken};
use super::replace::ReplaceError;
use super::settings;

/// Exit code for wrong arguments.
const USAGE: u8 = 2;
/// The longest wait, in seconds.
const LONGEST: u64 = 3600;
/// How often is looked meanwhile. A runtime that has found its list takes seconds to its first pod.
const LOOK: Duration = Duration::from_millis(100);

const HELP: &str = "\
A CNI plugin that makes a node's pods use its DNS server, horizond. Runtimes call it; people may:

  horizond-cni install [OPTIONS] [KEYS]  put the program into the directory of plugins, and its entry
                                         at the end of the list that the runtime reads first
  horizond-cni uninstall [OPTIONS]       take both out again
  horizond-cni snippet [KEYS]            print the entry, to be put into a list by hand

OPTIONS
  --bin-dir DIR       directory of plugins                 [/opt/cni/bin]
  --conf-dir DIR      the runtime's network configuration  [/etc/cni/net.d]
  --conflist FILE     this list, and not the first of --conf-dir
  --drop-in           a file in the folder of the network's name instead of an entry in the list
                      (containerd 2.1 or newer)
  --no-binary         leave the program where it is
  --wait SECONDS      for a network configuration to come, where there is none yet  [0]
  --dry-run           say what would be done, and do nothing

KEYS of the entry; those that are there already and not given stay. HeadCNI's magic_dns is copied from
its own entry in the list.
  --nameserver IP     the node's server      [169.254.20.10]  again for more, as the next two
  --cluster-dns IP    the cluster's DNS      [10.96.0.10]
  --stand-in IP       what it is redirected to [169.254.20.11]
  --redirect MODE     required, preferred or off  [preferred]
  --pod-dir DIR       directory of pod records    [/run/horizond/pods]; uninstall looks there too
                      whether pods still need the program

  --help, --version
";

/// What is asked for.
#[derive(Debug, PartialEq)]
enum Command {
    Install {
        hands: Hands,
        bin_dir: Option<PathBuf>,
        place: Place,
        drop_in: bool,
        wait: Duration,
        keys: Map<String, Value>,
    },
    Uninstall {
        hands: Hands,
        bin_dir: Option<PathBuf>,
        place: Place,
        pod_dir: PathBuf,
    },
    Snippet(Map<String, Value>),
    Help,
    Version,
}

/// Does what the arguments say, and says it on standard output. Exit codes: 0, 1 where it could not be
/// done, 2 for wrong arguments.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let arguments: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let command = arguments.ok_or_else(|| "arguments must be UTF-8".to_owned());
    match command.and_then(|arguments| read(&arguments)) {
        Ok(command) => match done(command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tell_error(&error.to_string());
                ExitCode::FAILURE
            }
        },
        Err(what) => {
            tell_error(&format!("{what}; see horizond-cni --help"));
            ExitCode::from(USAGE)
        }
    }
}

fn done(command: Command) -> Result<(), InstallError> {
    match command {
        Command::Help => tell(HELP),
        Command::Version => tell(concat!("horizond-cni ", env!("CARGO_PKG_VERSION"), "\n")),
        Command::Snippet(keys) => {
            let entry = conflist::pretty(&Value::Object(conflist::entry(&keys)), "  ");
            tell(&String::from_utf8_lossy(&entry));
        }
        Command::Install { hands, bin_dir, place, drop_in, wait, keys } => {
            announce(hands);
            // The program first: a runtime that finds the entry looks for it.
            let program = |directory: &PathBuf| {
                let own = std::env::current_exe();
                let own = own.map_err(ReplaceError::at(Path::new("/proc/self/exe")))?;
                install::put_binary(hands, &own, directory)
            };
            if let Some(directory) = &bin_dir {
                let _lock = Lock::hold(&place)?;
                tell_line(&program(directory)?);
            }
            let put = if drop_in { install::put_drop_in } else { install::put_entry };
            tell_line(&waiting(wait, || {
                let _lock = Lock::hold(&place)?;
                // One that uninstalls may have taken it away meanwhile.
                if let Some(directory) = bin_dir.as_ref().filter(|_| !hands.dry)
                    && !directory.join(conflist::PLUGIN).exists()
                {
                    tell_line(&program(directory)?);
                }
                put(hands, &place, &keys)
            })?);
        }
        Command::Uninstall { hands, bin_dir, place, pod_dir } => {
            announce(hands);
            let _lock = Lock::hold(&place)?;
            let Taken { said, mut pod_dirs, failed } = install::take_entry(hands, &place)?;
            said.iter().for_each(|line| tell_line(line));
            failed.map_or(Ok(()), Err)?;
            if let Some(directory) = bin_dir {
                pod_dirs.insert(pod_dir);
                tell_line(&install::take_binary(hands, &directory, &place, &pod_dirs)?);
            }
            install::check_taken(hands, &place)?;
        }
    }
    Ok(())
}

/// Tries again while there is no list yet: at a node's boot another program writes it, and pods that are made
/// before our entry is in it are not ours for as long as they live.
fn waiting(
    wait: Duration,
    put: impl Fn() -> Result<String, InstallError>,
) -> Result<String, InstallError> {
    let until = Instant::now() + wait;
    loop {
        match put() {
            Err(InstallError::NoList(_)) if Instant::now() < until => std::thread::sleep(LOOK),
            result => return result,
        }
    }
}

fn announce(hands: Hands) {
    if hands.dry {
        tell_line("--dry-run: nothing of this is done");
    }
}

/// The options as they come.
#[derive(Default)]
struct Options {
    bin_dir: Option<PathBuf>,
    conf_dir: Option<PathBuf>,
    conflist: Option<PathBuf>,
    drop_in: bool,
    no_binary: bool,
    wait: Duration,
    dry_run: bool,
    keys: Map<String, Value>,
}

fn read(arguments: &[&str]) -> Result<Command, String> {
    let (verb, rest) = arguments.split_first().ok_or("no command")?;
    if rest.iter().any(|argument| matches!(*argument, "--help" | "-h")) {
        return Ok(Command::Help);
    }
    match *verb {
        "--help" | "-h" | "help" => return Ok(Command::Help),
        "--version" | "-V" => return Ok(Command::Version),
        "install" | "uninstall" | "snippet" => {}
        other => return Err(format!("{other:?} is none of install, uninstall, snippet")),
    }
    let mut options = Options::default();
    let mut rest = rest.iter();
    while let Some(option) = rest.next() {
        read_option(verb, option, &mut rest, &mut options)?;
    }
    finish(verb, options)
}

fn read_option<'a>(
    verb: &str,
    option: &str,
    rest: &mut impl Iterator<Item = &'a &'a str>,
    options: &mut Options,
) -> Result<(), String> {
    let keys = &mut options.keys;
    let mut value = || match rest.next() {
        Some(value) if !value.is_empty() => Ok((*value).to_owned()),
        _ => Err(format!("{option} needs a value")),
    };
    let (install, snippet) = (verb == "install", verb == "snippet");
    match option {
        "--bin-dir" if !snippet => options.bin_dir = Some(value()?.into()),
        "--conf-dir" if !snippet => options.conf_dir = Some(value()?.into()),
        "--conflist" if !snippet => options.conflist = Some(value()?.into()),
        "--no-binary" if !snippet => options.no_binary = true,
        "--dry-run" if !snippet => options.dry_run = true,
        "--drop-in" if install => options.drop_in = true,
        "--wait" if install => {
            let seconds = value()?.parse().ok().filter(|seconds| *seconds <= LONGEST);
            let seconds =
                seconds.ok_or_else(|| format!("--wait: a number of seconds up to {LONGEST}"))?;
            options.wait = Duration::from_secs(seconds);
        }
        "--nameserver" if install || snippet => append(keys, "nameservers", value()?),
        "--cluster-dns" if install || snippet => append(keys, "clusterDNS", value()?),
        "--stand-in" if install || snippet => append(keys, "standIns", value()?),
        "--redirect" if install || snippet => {
            keys.insert("redirect".into(), value()?.into());
        }
        "--pod-dir" => {
            keys.insert("podDir".into(), value()?.into());
        }
        other => return Err(format!("{verb} has no option {other:?}")),
    }
    Ok(())
}

fn append(keys: &mut Map<String, Value>, key: &str, value: String) {
    match keys.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.push(value.into()),
        None => {
            keys.insert(key.into(), json!([value]));
        }
    }
}

fn finish(verb: &str, options: Options) -> Result<Command, String> {
    let Options { bin_dir, conf_dir, conflist, drop_in, no_binary, wait, dry_run, keys } = options;
    if conf_dir.is_some() && conflist.is_some() {
        return Err("--conf-dir and --conflist: one of both".to_owned());
    }
    if bin_dir.is_some() && no_binary {
        return Err("--bin-dir and --no-binary: one of both".to_owned());
    }
    conflist::check_entry(&conflist::entry(&keys)).map_err(|error| error.to_string())?;
    let hands = Hands { dry: dry_run };
    let bin_dir = (!no_binary).then(|| bin_dir.unwrap_or_else(|| PathBuf::from("/opt/cni/bin")));
    let place = match conflist {
        Some(file) => Place::File(file),
        None => Place::Directory(conf_dir.unwrap_or_else(|| PathBuf::from("/etc/cni/net.d"))),
    };
    Ok(match verb {
        "install" => Command::Install { hands, bin_dir, place, drop_in, wait, keys },
        "uninstall" => {
            let pod_dir = settings::pod_dir(&keys).map_err(|error| error.details().to_owned())?;
            Command::Uninstall { hands, bin_dir, place, pod_dir }
        }
        _ => Command::Snippet(keys),
    })
}

/// To whom asked. One who does not listen any more (`| head`) misses nothing.
fn tell(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn tell_line(line: &str) {
    tell(&format!("{line}\n"));
}

fn tell_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "horizond-cni: {text}");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        read(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn arguments() {
        let standard = Place::Directory("/etc/cni/net.d".into());
        let hands = Hands { dry: false };
        let install = Command::Install {
            hands,
            bin_dir: Some("/opt/cni/bin".into()),
            place: standard.clone(),
            drop_in: false,
            wait: Duration::ZERO,
            keys: Map::new(),
        };
        assert_eq!(of("install"), Ok(install));
        let keys = json!({"clusterDNS": ["10.0.0.1", "fd00::a"], "redirect": "off",
            "standIns": ["10.0.0.2"], "nameservers": ["10.0.0.3"], "podDir": "/p"});
        let install = Command::Install {
            hands: Hands { dry: true },
            bin_dir: Some("/b".into()),
            place: Place::File("/x".into()),
            drop_in: true,
            wait: Duration::from_secs(90),
            keys: keys.as_object().unwrap().clone(),
        };
        let line = "install --bin-dir /b --conflist /x --drop-in --cluster-dns 10.0.0.1 \
            --cluster-dns fd00::a --redirect off --stand-in 10.0.0.2 --nameserver 10.0.0.3 \
             --pod-dir /p --wait 90 --dry-run";
        assert_eq!(of(line), Ok(install));
        let pod_dir = PathBuf::from("/run/horizond/pods");
        let uninstall = Command::Uninstall { hands, bin_dir: None, place: standard, pod_dir };
        assert_eq!(of("uninstall --no-binary"), Ok(uninstall));
        let Ok(Command::Uninstall { hands, pod_dir, .. }) = of("uninstall --dry-run --pod-dir /p")
        else {
            panic!()
        };
        assert_eq!((hands.dry, pod_dir), (true, PathBuf::from("/p")));
        assert_eq!(of("snippet"), Ok(Command::Snippet(Map::new())));
        assert_eq!(
            (of("install --help"), of("--version")),
            (Ok(Command::Help), Ok(Command::Version))
        );
    }

    #[test]
    fn a_list_that_comes_late_is_waited_for() {
        let tries = Cell::new(0);
        let put = |comes: u32, error: fn() -> InstallError| {
            tries.set(0);
            move |tries: &Cell<u32>| {
                tries.set(tries.get() + 1);
                if tries.get() < comes { Err(error()) } else { Ok("added".to_owned()) }
            }
        };
        let none = || InstallError::NoList("/d".into());
        let third = put(3, none);
        assert_eq!(waiting(Duration::from_secs(60), || third(&tries)).unwrap(), "added");
        assert_eq!(tries.get(), 3);
        // Not for ever, not unless it is asked for, and not for what waiting does not mend.
        let never = put(u32::MAX, none);
        assert!(matches!(waiting(LOOK / 2, || never(&tries)), Err(InstallError::NoList(_))));
        assert_eq!(tries.get(), 2);
        let second = put(2, none);
        assert!(waiting(Duration::ZERO, || second(&tries)).is_err());
        let wrong = put(2, || InstallError::Refused { path: "/d".into(), what: "no list".into() });
        assert!(waiting(Duration::from_secs(60), || wrong(&tries)).is_err());
        assert_eq!(tries.get(), 1);
    }

    #[test]
    fn wrong_arguments() {
        for (line, expected) in [
            ("", "no command"),
            ("instal", "\"instal\" is none of"),
            ("install --bin-dir", "--bin-dir needs a value"),
            ("install extra", "install has no option \"extra\""),
            ("snippet --bin-dir /b", "snippet has no option"),
            ("uninstall --pod-dir p", "podDir: \"p\" is not an absolute path"),
            ("snippet --dry-run", "snippet has no option"),
            ("uninstall --redirect off", "uninstall has no option"),
            ("install --wait 3601", "--wait: a number of seconds up to 3600"),
            ("uninstall --wait 1", "uninstall has no option"),
            ("install --conf-dir /a --conflist /b", "one of both"),
            ("install --no-binary --bin-dir /b", "one of both"),
            ("install --redirect maybe", "redirect: \"maybe\" is none of"),
            ("snippet --cluster-dns x", "clusterDNS: \"x\" is not an IP address"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
