//! The files under `config/`: they must say what the code does.

use std::time::Duration;

use super::*;
use crate::config::{Admin, Admit, Cache, Listen, Local, Log, Node, Pods, Route};

const REFERENCE: &str = include_str!("../../../../config/horizond.toml");

/// The file with its commented-out keys and tables made real.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            format!("{key}\n")
        }
        _ => format!("{line}\n"),
    };
    REFERENCE.lines().map(line).collect()
}

#[test]
fn reference_has_the_defaults() {
    let Loaded { config, warnings } = read(REFERENCE).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.listen, Listen::default());
    assert_eq!(config.node, Node::default());
    assert_eq!(config.cache, Cache::default());
    assert_eq!(config.admit, Admit::default());
    assert_eq!(config.local, Local::default());
    assert_eq!(config.pods, Pods::default());
    assert_eq!(config.admin, Admin::default());
    assert_eq!(config.log, Log::default());
    // What the first route spells out is what the second leaves to the defaults.
    let tailnet = &config.routes[1];
    let spelled_out = Route {
        name: tailnet.name.clone(),
        suffixes: tailnet.suffixes.clone(),
        reverse: tailnet.reverse.clone(),
        upstreams: tailnet.upstreams.clone(),
        ..config.routes[0].clone()
    };
    assert_eq!(spelled_out, *tailnet);
}

#[test]
fn reference_has_every_key() {
    let text = uncommented();
    let mut table = "";
    let mut described = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix('[') {
            table = heading.trim_start_matches('[').split(']').next().unwrap();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            described.push((table, key));
        }
    }
    for (table, keys) in KEYS {
        for key in *keys {
            let inside = if table.is_empty() { (*key).into() } else { format!("{table}.{key}") };
            let is_table = KEYS.iter().any(|(name, _)| *name == inside);
            assert!(is_table || described.contains(&(table, key)), "{inside} is not described");
        }
    }
}

#[test]
fn reference_with_the_keys_that_are_left_out() {
    let (plain, full) = (config(REFERENCE), config(&uncommented()));
    assert_eq!(full.node.name.as_deref(), Some("node-1"));
    // The others are written with the values that a private route has by default.
    let headcni = full.routes.iter().position(|route| route.headcni_conflist.is_some()).unwrap();
    let mut others = full.routes.clone();
    let headcni = others.remove(headcni);
    assert_eq!(others, plain.routes);
    assert_eq!((headcni.upstreams.len(), headcni.suffixes.len(), headcni.private), (0, 1, true));
    assert_eq!((full.local.records.len(), full.local.rewrites.len()), (1, 1));
    assert_eq!(full.local.records[0].ttl, Duration::from_secs(300));
}

#[test]
fn every_key_has_its_range_and_its_reason() {
    let keys = uncommented();
    let paragraphs = REFERENCE.split("\n\n").zip(keys.split("\n\n"));
    for (paragraph, real) in paragraphs.skip(1) {
        let key = real.lines().find(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        let bare = matches!(paragraph.lines().nth(1), Some(line) if line.starts_with("name = "));
        if let Some(key) = key.filter(|_| !bare) {
            let text = paragraph.replace("\n# ", " ");
            let reasoned = text.contains("Default") || text.contains("No default");
            assert!(reasoned, "{key} says nothing of its default");
        }
    }
}

#[test]
fn examples_have_no_warnings() {
    for (name, text) in [
        ("node", include_str!("../../../../config/examples/node.toml")),
        ("headcni-node", include_str!("../../../../config/examples/headcni-node.toml")),
        ("laptop", include_str!("../../../../config/examples/laptop.toml")),
    ] {
        let loaded = read(text).unwrap_or_else(|errors| panic!("{name}: {errors}"));
        assert_eq!(shown(&loaded.warnings), [""; 0], "{name}");
    }
}

#[test]
fn headcni_example_asks_magic_dns() {
    let config = config(include_str!("../../../../config/examples/headcni-node.toml"));
    let tailnet = config.routes.iter().find(|route| route.name == "tailnet").unwrap();
    assert!(tailnet.servfail_as_nxdomain && tailnet.private);
    assert_eq!(tailnet.suffixes, ["c.binrc.com".parse().unwrap()]);
    // Its server is in the file that HeadCNI writes.
    let file = tailnet.headcni_conflist.as_deref();
    assert_eq!(file, Some(Path::new("/etc/cni/net.d/10-headcni.conflist")));
    assert_eq!(tailnet.upstreams, []);
}

/// The shape that the configuration was designed to have.
#[test]
fn the_designed_shape_is_accepted() {
    let loaded = read(include_str!("designed.toml")).unwrap();
    let keys: Vec<_> = loaded.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, [""; 0]);
    let names: Vec<_> = loaded.config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["cluster", "tailnet", "internet"]);
}
