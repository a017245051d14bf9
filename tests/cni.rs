//! `horizond-cni` as container runtimes and people see it: variables and standard input in, standard
//! output, exit status and files out. Needs no privilege: what is redirected is tried in `tests/node`.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// How a call ended.
struct Ended {
    stdout: String,
    stderr: String,
    code: i32,
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {:?}", self.stdout))
    }

    /// Success without a word on standard output.
    #[track_caller]
    fn silent(&self) {
        assert_eq!((self.stdout.as_str(), self.code), ("", 0), "{}", self.stderr);
    }

    /// An error as the specification writes it: exactly these keys, a failing status.
    #[track_caller]
    fn error(&self, version: &str, code: u32, details: &str) {
        let error = self.json();
        let keys: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["cniVersion", "code", "msg", "details"]);
        let (found, line) = (error["details"].as_str().unwrap(), &self.stdout);
        assert_eq!(
            (&error["cniVersion"], &error["code"]),
            (&json!(version), &json!(code)),
            "{line}"
        );
        assert!(found.contains(details), "{found:?} lacks {details:?}");
        assert!(!error["msg"].as_str().unwrap().is_empty() && self.code == 1, "{line}");
    }
}

fn ended(command: &mut Command, stdin: &[u8]) -> Ended {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // One that reads no more has its reasons; what it says is looked at.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        code: output.status.code().unwrap(),
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_horizond-cni"));
    command.env_clear();
    command
}

/// A runtime with one pod; records lie in a directory of the test.
struct Runtime {
    home: TempDir,
}

impl Runtime {
    fn new() -> Runtime {
        Runtime { home: tempfile::tempdir().unwrap() }
    }

    fn pods(&self) -> std::path::PathBuf {
        self.home.path().join("pods")
    }

    /// The configuration with these keys more; one that is null is taken out.
    fn conf(&self, version: &str, more: Value) -> Value {
        let mut conf = json!({
            "cniVersion": version, "name": "cbr0", "type": "horizond-cni", "redirect": "off",
            "podDir": self.pods(),
            "prevResult": {"cniVersion": version, "ips": [{"address": "10.244.0.5/24"}]},
        });
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conf.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        conf
    }

    /// One call, with these variables instead of the usual ones; an empty one is not set.
    fn call(&self, verb: &str, variables: &[(&str, &str)], stdin: &[u8]) -> Ended {
        let mut command = program();
        for (name, usual) in [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", "/run/netns/none"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/opt/cni/bin"),
            ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0"),
        ] {
            let given = variables.iter().find(|(given, _)| *given == name);
            match given.map_or(usual, |(_, value)| value) {
                "" => {}
                value => {
                    command.env(name, value);
                }
            }
        }
        ended(&mut command, stdin)
    }

    fn ask(&self, verb: &str, version: &str, more: Value) -> Ended {
        self.call(verb, &[], self.conf(version, more).to_string().as_bytes())
    }

    fn records(&self) -> usize {
        std::fs::read_dir(self.pods()).map_or(0, Iterator::count)
    }
}

const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn version() {
    let runtime = Runtime::new();
    // As podman asks; as libcni asks; and by one that says nothing that could be understood.
    for (stdin, version) in [
        (r#"{"cniVersion":"1.0.0"}"#, "1.0.0"),
        (r#"{"cniVersion":"0.3.1","name":"x","type":"y"}"#, "0.3.1"),
        (r#"{"cniVersion":"0.2.0"}"#, "1.1.0"),
        ("", "1.1.0"),
        ("what?", "1.1.0"),
    ] {
        let dummies = [("CNI_NETNS", "dummy"), ("CNI_IFNAME", "dummy"), ("CNI_PATH", "dummy")];
        let ended = runtime.call("VERSION", &dummies, stdin.as_bytes());
        let expected = json!({"cniVersion": version, "supportedVersions": VERSIONS});
        assert_eq!((ended.json(), ended.code), (expected, 0), "{stdin}");
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn a_pods_life_in_every_version() {
    for version in VERSIONS {
        let runtime = Runtime::new();
        let previous = json!({
            "cniVersion": version,
            "interfaces": [{"name": "eth0", "sandbox": "/run/netns/x", "mtu": 1450}],
            "ips": [{"version": "4", "address": "10.244.0.5/24", "interface": 0}],
            "routes": [{"dst": "0.0.0.0/0", "priority": 7}],
            "dns": {"nameservers": ["192.0.2.1"], "domain": "kept.example"},
            "ofTheFuture": {"z": null, "a": [1.5, true]},
        });
        let mut expected = previous.clone();
        expected["dns"] = json!({"nameservers": ["169.254.20.10"], "search": ["c.binrc.com"],
            "domain": "kept.example"});
        let magic = json!({"enable": true, "search_domains": ["c.binrc.com"]});
        let ended =
            runtime.ask("ADD", version, json!({"prevResult": previous, "magic_dns": magic}));
        assert_eq!((ended.json(), ended.code), (expected, 0), "{}", ended.stderr);
        assert_eq!(ended.stderr, "");
        // Keys come in the order they had.
        let order = ["cniVersion", "interfaces", "ips", "routes", "dns", "ofTheFuture"];
        assert_eq!(ended.json().as_object().unwrap().keys().collect::<Vec<_>>(), order);
        let record = std::fs::read(runtime.pods().join("cbr0_c1_eth0.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let (pod, addresses) = (json!(["default", "web-0"]), json!(["10.244.0.5"]));
        assert_eq!(json!([record["namespace"], record["pod"]]), pod);
        assert_eq!(
            (&record["addresses"], &record["search_from"]),
            (&addresses, &json!("configuration"))
        );

        if version == "0.3.1" {
            runtime.ask("CHECK", version, json!({})).error(version, 1, "CHECK is of 0.4.0");
        } else {
            runtime.ask("CHECK", version, json!({})).silent();
        }
        runtime.ask("DEL", version, json!({"prevResult": null})).silent();
        // containerd's second DEL has no namespace any more.
        let conf = runtime.conf(version, json!({"prevResult": null})).to_string();
        runtime.call("DEL", &[("CNI_NETNS", ""), ("CNI_PATH", "")], conf.as_bytes()).silent();
        assert_eq!(runtime.records(), 0);
    }
}

#[test]
fn what_is_wrong_has_its_code() {
    let runtime = Runtime::new();
    let long = vec![b' '; (4 << 20) + 1];
    for verb in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let raw = |stdin: &[u8]| runtime.call(verb, &[], stdin);
        raw(b"").error("1.1.0", 6, "EOF");
        raw(b"not json").error("1.1.0", 6, "expected");
        raw(b"[]").error("1.1.0", 6, "a list instead of an object");
        raw(&long).error("1.1.0", 6, "more than 4194304 bytes");
        runtime.ask(verb, "9.9.9", json!({})).error("1.1.0", 1, "\"9.9.9\" is not spoken here");
        raw(b"{\"name\":\"n\",\"type\":\"t\"}").error("1.1.0", 1, "no cniVersion");
        runtime.ask(verb, "1.1.0", json!({"name": "../x"})).error("1.1.0", 7, "name: \"../x\"");
        let elsewhere = runtime.ask(verb, "1.1.0", json!({"podDir": "../x"}));
        match verb {
            // A pod that cannot have been written down is none that must not go.
            "DEL" => elsewhere.silent(),
            _ => elsewhere.error("1.1.0", 7, "podDir"),
        }
    }
    for verb in ["ADD", "CHECK"] {
        let without = |more: Value| runtime.ask(verb, "1.0.0", more);
        without(json!({"prevResult": null})).error("1.0.0", 7, "prevResult: missing");
        without(json!({"prevResult": []})).error("1.0.0", 7, "prevResult: not an object");
        without(json!({"prevResult": {"ips": [{}]}})).error(
            "1.0.0",
            7,
            "prevResult.ips[0].address",
        );
        without(json!({"nameserver": ["x"]})).error("1.0.0", 2, "did you mean nameservers?");
        without(json!({"clusterDNS": ["x"]})).error("1.0.0", 7, "clusterDNS: \"x\"");
    }
    assert_eq!(runtime.records(), 0);
}

#[test]
fn variables() {
    let runtime = Runtime::new();
    let conf = runtime.conf("1.0.0", json!({})).to_string();
    let call =
        |verb: &str, variables: &[(&str, &str)]| runtime.call(verb, variables, conf.as_bytes());
    call("", &[]).error("1.0.0", 4, "CNI_COMMAND is not set");
    call("ATTACH", &[]).error("1.0.0", 4, "CNI_COMMAND: \"ATTACH\" is none of");
    for verb in ["ADD", "CHECK"] {
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"] {
            call(verb, &[(name, "")]).error("1.0.0", 4, name);
        }
        call(verb, &[("CNI_CONTAINERID", "../../etc")]).error("1.0.0", 4, "CNI_CONTAINERID");
        call(verb, &[("CNI_IFNAME", "a/b")]).error("1.0.0", 4, "CNI_IFNAME");
        call(verb, &[("CNI_ARGS", "no pair")]).error("1.0.0", 4, "CNI_ARGS");
    }
    let none = [("CNI_CONTAINERID", ""), ("CNI_IFNAME", "")];
    call("DEL", &none).error("1.0.0", 4, "CNI_CONTAINERID, CNI_IFNAME");
    // STATUS and GC are about no container; what is set is not looked at.
    let none = [("CNI_CONTAINERID", "../x"), ("CNI_IFNAME", ""), ("CNI_NETNS", "")];
    let conf = runtime.conf("1.1.0", json!({"cni.dev/valid-attachments": []})).to_string();
    runtime.call("STATUS", &none, conf.as_bytes()).silent();
    runtime.call("GC", &none, conf.as_bytes()).silent();
}

#[test]
fn gc_and_status() {
    let runtime = Runtime::new();
    for (network, container) in [("cbr0", "c1"), ("cbr0", "c2"), ("other", "c1")] {
        let conf = runtime.conf("1.1.0", json!({"name": network})).to_string();
        let ended = runtime.call("ADD", &[("CNI_CONTAINERID", container)], conf.as_bytes());
        assert_eq!(ended.code, 0, "{}", ended.stdout);
    }
    let remain = json!({"cni.dev/valid-attachments": [{"containerID": "c2", "ifname": "eth0"}]});
    runtime.ask("GC", "1.0.0", remain.clone()).error("1.0.0", 1, "GC is of 1.1.0");
    runtime.ask("GC", "1.1.0", remain).silent();
    assert!(!runtime.pods().join("cbr0_c1_eth0.json").exists());
    assert_eq!(runtime.records(), 2);
    runtime.ask("STATUS", "1.1.0", json!({"prevResult": null})).silent();
    runtime.ask("STATUS", "1.0.0", json!({})).error("1.0.0", 1, "STATUS is of 1.1.0");
    let file = runtime.home.path().join("file");
    std::fs::write(&file, "").unwrap();
    runtime.ask("STATUS", "1.1.0", json!({"podDir": file})).error("1.1.0", 50, "File exists");
}

#[test]
fn a_namespace_that_cannot_be_entered() {
    let runtime = Runtime::new();
    let required = runtime.ask("ADD", "1.0.0", json!({"redirect": "required"}));
    required.error("1.0.0", 100, "/run/netns/none: no such network namespace");
    assert_eq!(runtime.records(), 0, "a failed ADD leaves nothing");
    // The node's own namespace is no pod's.
    let conf = runtime.conf("1.0.0", json!({"redirect": "required"})).to_string();
    let own = runtime.call("ADD", &[("CNI_NETNS", "/proc/self/ns/net")], conf.as_bytes());
    own.error("1.0.0", 100, "/proc/self/ns/net is the network namespace of the node");
    let preferred = runtime.ask("ADD", "1.0.0", json!({"redirect": "preferred"}));
    assert_eq!((preferred.code, runtime.records()), (0, 1));
    let warning = "horizond-cni: the DNS of container c1 is not redirected to this node's server: ";
    assert!(preferred.stderr.starts_with(warning), "{}", preferred.stderr);
}

#[test]
fn an_add_that_nobody_hears_of_is_undone() {
    let runtime = Runtime::new();
    let mut command = program();
    let child = command
        .envs([("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c1"), ("CNI_NETNS", "/run/netns/none")])
        .envs([("CNI_IFNAME", "eth0"), ("CNI_PATH", "/opt/cni/bin")])
        .stdin(Stdio::piped())
        .stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let conf = runtime.conf("1.0.0", json!({})).to_string();
    child.stdin.take().unwrap().write_all(conf.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), runtime.records()), (Some(1), 0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("horizond-cni: standard output: "), "{stderr}");
}

#[test]
fn a_runtime_that_does_not_listen_or_does_not_end() {
    let runtime = Runtime::new();
    let conf = runtime.conf("1.0.0", json!({})).to_string();
    let start = |stdout: Stdio| {
        let mut command = program();
        command
            .envs([("CNI_COMMAND", "ADD"), ("CNI_CONTAINERID", "c1")])
            .envs([("CNI_NETNS", "/run/netns/none"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/b")])
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(conf.as_bytes()).unwrap();
        (child, stdin)
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (child, stdin) = start(writer.into());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), runtime.records()), (Some(1), 0), "the ADD is undone");
    // One that says all it has to say and never closes its end.
    let (child, stdin) = start(Stdio::piped());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let error: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &error["code"]), (Some(1), &json!(5)), "{error}");
    assert_eq!(error["details"], "standard input: its end has not come within 5s");
    assert_eq!(runtime.records(), 0);
}

#[test]
fn results_of_all_shapes() {
    for version in VERSIONS {
        let runtime = Runtime::new();
        let six = json!({"address": "fd00::5/64", "gateway": "fd00::1"});
        for (ips, addresses) in [
            (json!(null), json!([])),
            (json!([]), json!([])),
            (json!([six]), json!(["fd00::5"])),
            (json!([six, {"address": "10.0.0.5/32"}]), json!(["fd00::5", "10.0.0.5"])),
        ] {
            // Of the other version than the configuration's, as one that delegates may hand it on.
            let other = if version < "1.0.0" { "1.0.0" } else { "0.4.0" };
            let previous = json!({"cniVersion": other, "ips": ips, "interfaces": null});
            let ended = runtime.ask("ADD", version, json!({"prevResult": previous}));
            let result = ended.json();
            assert_eq!(
                (ended.code, &result["cniVersion"]),
                (0, &json!(version)),
                "{}",
                ended.stderr
            );
            assert_eq!(result.as_object().unwrap()["interfaces"], json!(null));
            for ip in result["ips"].as_array().into_iter().flatten() {
                let v6 = ip["address"].as_str().unwrap().contains(':');
                let family = (version < "1.0.0").then_some(if v6 { "6" } else { "4" });
                assert_eq!(ip["version"], json!(family), "{result}");
            }
            let record = std::fs::read(runtime.pods().join("cbr0_c1_eth0.json")).unwrap();
            let record: Value = serde_json::from_slice(&record).unwrap();
            assert_eq!(record["addresses"], addresses);
        }
        let old = json!({"cniVersion": "0.2.0", "ip4": {"ip": "10.0.0.5/24"}});
        let ended = runtime.ask("ADD", version, json!({"prevResult": old}));
        ended.error(version, 1, "prevResult is of 0.2.0");
    }
}

#[test]
fn a_pods_own_word_and_one_that_means_nothing() {
    let runtime = Runtime::new();
    let pod = |word: &str| json!({"io.kubernetes.cri.pod-annotations": {"horizond.io/dns": word}});
    let add = |word: &str| {
        runtime.ask("ADD", "1.0.0", json!({"redirect": "off", "runtimeConfig": pod(word)}))
    };
    add("required").error("1.0.0", 100, "/run/netns/none: no such network namespace");
    let odd = add("yes\nplease");
    let warning = "horizond-cni: the pod's annotation horizond.io/dns is \"yes\\nplease\", which is \
        none of \"required\", \"preferred\", \"off\": taken as not there\n";
    assert_eq!((odd.code, odd.stderr.as_str()), (0, warning));
    let off = add("off");
    assert_eq!((off.code, off.stderr.as_str(), off.json().get("dns")), (0, "", None));
}

#[test]
fn nothing_of_the_input_is_logged() {
    let runtime = Runtime::new();
    let secret = "hunter2-of-some-annotation";
    let runtime_config = json!({"io.kubernetes.cri.pod-annotations": {"token": secret}});
    let more = json!({"redirect": "preferred", "runtimeConfig": runtime_config, "auth": secret});
    for verb in ["ADD", "CHECK", "DEL"] {
        let ended = runtime.ask(verb, "1.0.0", more.clone());
        assert!(!ended.stderr.contains(secret) && !ended.stdout.contains(secret), "{verb}");
    }
    let ended = runtime.ask("ADD", "1.0.0", more);
    assert_eq!(ended.code, 0);
    let record = std::fs::read_to_string(runtime.pods().join("cbr0_c1_eth0.json")).unwrap();
    assert!(!record.contains(secret));
}

#[test]
fn onto_a_node_and_off_again() {
    let home = tempfile::tempdir().unwrap();
    let (bin, conf) = (home.path().join("bin"), home.path().join("net.d"));
    std::fs::create_dir(&conf).unwrap();
    let list = conf.join("10-cbr0.conflist");
    let text =
        r#"{"cniVersion":"1.0.0","name":"cbr0","plugins":[{"type":"headcni","x":{"b":1,"a":2}}]}"#;
    std::fs::write(&list, text).unwrap();
    let (bin_text, conf_text) = (bin.to_str().unwrap(), conf.to_str().unwrap());
    let places = ["--bin-dir", bin_text, "--conf-dir", conf_text];
    let run = |arguments: &[&str]| ended(program().args(arguments), b"");
    let install = [&["install"][..], &places, &["--cluster-dns", "10.43.0.10"]].concat();
    for expected in ["entry added", "has the entry already"] {
        let ended = run(&install);
        assert!(
            ended.code == 0 && ended.stdout.contains(expected),
            "{}{}",
            ended.stdout,
            ended.stderr
        );
    }
    let plugins: Value = serde_json::from_slice(&std::fs::read(&list).unwrap()).unwrap();
    let snippet = run(&["snippet", "--cluster-dns", "10.43.0.10"]).json();
    assert_eq!(plugins["plugins"][1], snippet);
    // What was put there is the plugin.
    let mut command = Command::new(bin.join("horizond-cni"));
    let ended = ended_version(&mut command);
    assert_eq!(ended.json()["supportedVersions"], json!(VERSIONS));
    let dry = run(&[&["uninstall", "--dry-run"][..], &places].concat());
    assert!(dry.stdout.starts_with("--dry-run: nothing of this is done\n"), "{}", dry.stdout);
    assert!(dry.code == 0 && dry.stdout.ends_with("horizond-cni: removed\n"), "{}", dry.stdout);
    assert_eq!((entries(&bin), entries(&conf)), (1, 2));
    // What names it and is not understood keeps it where it is.
    std::fs::write(conf.join("20-odd.conflist"), "# horizond-cni").unwrap();
    let kept = run(&[&["uninstall"][..], &places].concat());
    assert!(kept.code == 1 && kept.stderr.contains("20-odd.conflist: still names the plugin"));
    assert_eq!(entries(&bin), 1);
    std::fs::remove_file(conf.join("20-odd.conflist")).unwrap();
    let removed = run(&[&["uninstall"][..], &places].concat());
    assert_eq!(removed.code, 0, "{}", removed.stderr);
    assert_eq!(std::fs::read_to_string(&list).unwrap(), text);
    assert_eq!((entries(&bin), entries(&conf)), (0, 1));

    let wrong = run(&["install", "--redirect", "maybe"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("\"maybe\" is none of"), "{}", wrong.stderr);
    std::fs::write(&list, "{").unwrap();
    let refused = run(&install);
    assert!(refused.code == 1 && refused.stderr.contains("is not JSON"), "{}", refused.stderr);
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "{");
    assert!(run(&["--help"]).stdout.contains("horizond-cni install"));
}

fn ended_version(command: &mut Command) -> Ended {
    ended(command.env_clear().env("CNI_COMMAND", "VERSION"), b"{}")
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
