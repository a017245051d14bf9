//! What a container runtime says to the CNI plugin: standard input, and behind a zero byte the
//! environment, a variable a line.

use std::collections::BTreeMap;

use horizond::cni::conflist::{Change, Conflist};
use horizond::cni::dns::{self, Dns};
use horizond::cni::environment::{Args, Call};
use horizond::cni::error::{CniError, MAX_DETAILS};
use horizond::cni::json::{MAX_LIST, MAX_TEXT};
use horizond::cni::record::PodRecord;
use horizond::cni::redirect;
use horizond::cni::settings::Redirect;
use horizond::cni::types::{Cleanup, Conf, PrevResult, Version};
use serde_json::{Map, Value};

/// Checks one call.
pub fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let stdin = parts.next().unwrap_or_default();
    check_environment(&String::from_utf8_lossy(parts.next().unwrap_or_default()));
    check_record(stdin);
    check_conflist(stdin);
    let version = Version::to_answer(stdin);
    match Cleanup::parse(stdin) {
        Ok(cleanup) => {
            assert_eq!(cleanup.version, version);
            match cleanup.pod_dir {
                Ok(directory) => assert!(directory.is_absolute()),
                Err(error) => check_error(&error, version),
            }
        }
        Err(error) => check_error(&error, version),
    }
    match Conf::parse(stdin) {
        Ok(conf) => {
            let keys: Map<String, Value> = serde_json::from_slice(stdin).expect("it was an object");
            assert_eq!(conf.version, version);
            check_conf(&conf);
            check_read_alike(&conf, &keys);
            check_result(conf, &keys);
        }
        Err(error) => check_error(&error, version),
    }
}

/// A record that was read is written as one that reads the same, under a name that is a file's.
fn check_record(data: &[u8]) {
    let Ok(record) = PodRecord::parse(data) else { return };
    assert_eq!(PodRecord::parse(&record.to_json()).expect("it was one"), record);
    let name = record.identity().expect("it was checked").file_name();
    assert!(name.len() <= 255 && !name.contains('/') && !name.starts_with('.'), "{name}");
}

/// Our entry comes into a list and goes out again, and the list is as it was.
fn check_conflist(data: &[u8]) {
    let Ok(list) = Conflist::parse(data) else { return };
    let mut bare = list.clone();
    assert_eq!(bare.take().is_some(), list.has_entry());
    let mut with = bare.clone();
    match with.put(&Map::new()) {
        Ok(change) => assert_eq!(change, Change::Added),
        // Another plugin's block of HeadCNI's, which it would be no better with.
        Err(error) => {
            assert!(with.says(&bare) && error.to_string().contains("magic_dns"), "{error}");
            return;
        }
    }
    assert_eq!(with.put(&Map::new()).expect("it is ours"), Change::None);
    let mut read = Conflist::parse(&with.to_bytes()).expect("it is a list");
    assert!(read.says(&with) && read.take().is_some() && read.says(&bare));
}

/// Every error is one that a runtime can read.
fn check_error(error: &CniError, version: Version) {
    let json = error.to_json(version);
    let value: BTreeMap<String, Value> = serde_json::from_str(&json).expect("an error is JSON");
    assert_eq!(value.keys().collect::<Vec<_>>(), ["cniVersion", "code", "details", "msg"]);
    assert!((1..=7).contains(&error.code()) && value["code"] == error.code());
    assert_eq!(value["cniVersion"], version.as_str());
    assert!(!error.to_string().is_empty() && !error.details().is_empty());
    assert!(error.details().len() <= MAX_DETAILS);
}

fn check_block(block: &Dns) {
    let lists = [&block.nameservers, &block.search, &block.options];
    assert!(lists.iter().all(|list| list.len() <= MAX_LIST));
    for text in lists.into_iter().flatten().chain(&block.domain) {
        assert!(!text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control));
    }
    assert_eq!(Dns::read("dns", &block.to_value()).as_ref(), Ok(block));
    assert_eq!(block.clone().over(&Dns::default()), *block);
    assert_eq!(Dns::default().over(block), *block);
    assert_eq!(block.clone().over(block), *block);
}

fn check_conf(conf: &Conf) {
    let settings = &conf.settings;
    assert!(!settings.nameservers.is_empty() && settings.pod_dir.is_absolute());
    assert!(settings.nameservers.iter().all(|ip| !ip.is_unspecified() && !ip.is_multicast()));
    check_block(&settings.dns);
    conf.runtime.dns.iter().for_each(check_block);
    assert!(conf.runtime.dns.as_ref().is_none_or(|dns| !dns.is_empty()));
    let said = conf.runtime.annotations.get("horizond.io/dns").map(|value| value.trim());
    assert_eq!(conf.runtime.is_opted_out(), said == Some("off"));
    let wanted = redirect::wanted(settings, &conf.runtime);
    let known = match said {
        Some("off") => Some(Redirect::Off),
        Some("preferred") => Some(Redirect::Preferred),
        Some("required") => Some(Redirect::Required),
        _ => None,
    };
    assert_eq!(wanted.redirect, known.unwrap_or(settings.redirect));
    assert_eq!(wanted.warning.is_some(), said.is_some() && known.is_none());
    assert!(wanted.warning.iter().all(|line| line.len() < 400 && !line.contains('\n')));
    assert!(wanted.pairs.iter().all(|pair| settings.pairs.contains(pair)));
    assert!(wanted.redirect != Redirect::Off || wanted.pairs.is_empty());
    // What is redirected can be.
    let ours: Vec<_> = settings.pairs.iter().flat_map(|(a, b)| [a, b]).collect();
    let once: std::collections::BTreeSet<_> = ours.iter().collect();
    assert_eq!((once.len(), settings.pairs.len() * 2), (ours.len(), ours.len()));
}

/// Keys of others change nothing, neither does the order or the case of a runtime's keys. Not of
/// prevResult, whose numbers are not written as they were read.
fn check_read_alike(conf: &Conf, keys: &Map<String, Value>) {
    let mut other = keys.clone();
    other.insert("cni.dev/of-the-future".into(), Value::Null);
    other.insert("ipam".into(), Value::Bool(true));
    other.remove("prevResult");
    if let Some(Value::Object(block)) =
        other.get_mut("runtimeConfig").and_then(|c| c.get_mut("dns"))
    {
        let once =
            block.keys().map(|key| key.to_lowercase()).collect::<std::collections::BTreeSet<_>>();
        if once.len() == block.len() {
            *block = std::mem::take(block)
                .into_iter()
                .map(|(k, v)| (k.to_ascii_uppercase(), v))
                .collect();
        }
    }
    let text = serde_json::to_vec(&other).expect("an object is JSON");
    let again = Conf::parse(&text).expect("it was taken before");
    assert_eq!(again.settings, conf.settings);
    assert_eq!(again.runtime, conf.runtime);
    assert_eq!(
        (again.network, again.plugin, again.previous),
        (conf.network.clone(), conf.plugin.clone(), None)
    );
}

fn check_result(conf: Conf, keys: &Map<String, Value>) {
    let none = Dns::default();
    let previous =
        conf.previous.as_ref().map(PrevResult::dns).transpose().expect("it was read before");
    let pod = conf.runtime.dns.as_ref();
    let made = dns::of_result(&conf.settings, pod, previous.as_ref().unwrap_or(&none));
    check_block(&made);
    let servers: Vec<String> = conf.settings.nameservers.iter().map(ToString::to_string).collect();
    assert_eq!(made.nameservers, servers);
    let headcni = conf.settings.magic_dns.as_ref().filter(|block| block.is_enabled());
    let nothing = vec![];
    let candidates = [
        &conf.settings.search,
        &conf.settings.dns.search,
        headcni.map_or(&nothing, |block| &block.search_domains),
        previous.as_ref().map_or(&nothing, |dns| &dns.search),
    ];
    let configured = candidates.into_iter().find(|list| !list.is_empty()).unwrap_or(&nothing);
    assert_eq!(&made.search, pod.map_or(configured, |dns| &dns.search));
    let Some(previous) = conf.previous else { return };
    let Value::Object(mut handed_on) = previous.with_dns(conf.version, &made) else { panic!() };
    assert_eq!(handed_on.remove("cniVersion"), Some(conf.version.as_str().into()));
    assert_eq!(handed_on.remove("dns"), Some(made.to_value()));
    let mut came = keys["prevResult"].as_object().expect("it was one").clone();
    came.remove("cniVersion");
    came.remove("dns");
    if conf.version < Version::V1_0_0 {
        // What an address of then cannot be without.
        let ips = came.get_mut("ips").and_then(Value::as_array_mut);
        for ip in ips.into_iter().flatten().filter_map(Value::as_object_mut) {
            let v6 = ip["address"].as_str().is_some_and(|address| address.contains(':'));
            ip.entry("version").or_insert_with(|| if v6 { "6" } else { "4" }.into());
        }
    }
    assert_eq!(handed_on, came);
}

fn check_environment(text: &str) {
    let variables: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    let value = |name: &str| variables.get(name).copied().filter(|value| !value.is_empty());
    let read = Call::read(|name| variables.get(name).map(|value| (*value).to_owned()));
    let verb = value("CNI_COMMAND");
    match read {
        Ok(Call::Add(attach) | Call::Check(attach)) => {
            assert!(matches!(verb, Some("ADD" | "CHECK")));
            check_file(attach.container.as_str(), attach.interface.as_str());
            assert_eq!(attach.netns.to_str(), value("CNI_NETNS"));
            check_args(value("CNI_ARGS").unwrap_or_default(), &attach.args);
        }
        Ok(Call::Del(detach)) => {
            assert_eq!(verb, Some("DEL"));
            check_file(detach.container.as_str(), detach.interface.as_str());
            assert_eq!(detach.netns.as_deref().and_then(|path| path.to_str()), value("CNI_NETNS"));
        }
        Ok(Call::Gc | Call::Status | Call::Version) => {
            assert!(matches!(verb, Some("GC" | "STATUS" | "VERSION")));
        }
        Err(error) => {
            assert_eq!(error.code(), 4);
            assert!(error.details().contains("CNI_"), "the variable is named");
            check_error(&error, Version::LATEST);
        }
    }
}

/// They become part of a file's name.
fn check_file(container: &str, interface: &str) {
    for name in [container, interface] {
        assert!(!name.is_empty() && !name.contains(['/', '\0']) && !matches!(name, "." | ".."));
    }
    assert!(container.len() <= 128 && interface.len() <= 15);
}

fn check_args(text: &str, args: &Args) {
    for (key, found) in [
        ("K8S_POD_NAMESPACE=", &args.namespace),
        ("K8S_POD_NAME=", &args.pod),
        ("K8S_POD_UID=", &args.uid),
        ("K8S_POD_INFRA_CONTAINER_ID=", &args.infra_container),
    ] {
        let last = text.split(';').rev().find_map(|pair| pair.strip_prefix(key));
        assert_eq!(found.as_deref(), last.filter(|value| !value.is_empty()));
    }
}
