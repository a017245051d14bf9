#![allow(clippy::unwrap_used)]
use std::fmt::Write;

use super::*;
use crate::cni::record::{PodRecord, VERSION};
use crate::config::{Rewrite, RewriteKind};
use crate::pods::Namespaces;
use crate::wire::name::Name;

const NOW: Tick = Tick(5_000_000);

fn pod(search: &str, ndots: Option<u8>, search_from: SearchFrom) -> Arc<Pod> {
    let record = PodRecord {
        version: VERSION,
        network: "net".into(),
        container: "c".into(),
        interface: "eth0".into(),
        netns: String::new(),
        netns_id: None,
        addresses: Vec::new(),
        namespace: None,
        pod: None,
        uid: None,
        search: search.split_whitespace().map(Into::into).collect(),
        search_from,
        ndots,
        redirect: Vec::new(),
        when_unix_s: 1,
    };
    Arc::new(Pod::of(&record, &mut Namespaces::new(1)).unwrap())
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// All names that are asked for behind the first, or nothing where there is no walk.
fn walk(pod: &Arc<Pod>, asked: &str) -> Option<Vec<String>> {
    let asked = name(asked);
    let mut path = Path::of(pod, asked.as_wire(), NOW)?;
    let rewrites = Rewrites::default();
    let next = || path.next(asked.as_wire(), &rewrites, NOW);
    Some(std::iter::from_fn(next).map(|name| Presentation(&name).to_string()).collect())
}

#[test]
fn a_resolver_made_the_name_by_the_first_element() {
    let runtime = |ndots| pod("Shop.svc.test svc.test x.test", ndots, SearchFrom::Runtime);
    let names = ["www.example.svc.test.", "www.example.x.test.", "www.example."];
    for (ndots, asked, walked) in [
        (Some(5), "www.example.shop.svc.test", true),
        (Some(2), "www.example.shop.svc.test", true),
        (Some(1), "www.example.shop.svc.test", false),
        (None, "www.example.shop.svc.test", false),
        (Some(0), "www.example.shop.svc.test", false),
        (Some(5), "www.example.svc.test", false),
        (Some(5), "www.example.bigshop.svc.test", false),
    ] {
        let found = walk(&runtime(ndots), asked);
        assert_eq!(found.as_deref(), walked.then_some(&names.map(String::from)[..]), "{asked}");
    }
    for (asked, walked) in [("shop.svc.test", false), ("x.shop.svc.test", true), (".", false)] {
        assert_eq!(walk(&runtime(None), asked).is_some(), walked, "{asked}");
        assert_eq!(walk(&runtime(Some(0)), asked), None);
    }
    let told = pod("shop.svc.test svc.test", Some(5), SearchFrom::Configuration);
    assert_eq!(walk(&told, "www.shop.svc.test"), None);
    assert_eq!(walk(&pod("", Some(5), SearchFrom::Runtime), "www.shop.svc.test"), None);
    assert_eq!(walk(&pod(". a.test", Some(5), SearchFrom::Runtime), "www.a.test"), None);
}

#[test]
fn the_root_in_a_list_has_its_place_in_it() {
    let pod = pod("a.test . b.test", Some(5), SearchFrom::Runtime);
    assert_eq!(walk(&pod, "www.a.test").unwrap(), ["www.", "www.b.test.", "www."]);
}

#[test]
fn names_that_cannot_be_are_left_out_and_long_lists_are_cut() {
    let label = "x".repeat(63);
    let host = [label.as_str(); 3].join(".");
    let long = format!("{label}.test");
    let pod1 = pod(&format!("a.test {long} b.test"), Some(5), SearchFrom::Runtime);
    let found = walk(&pod1, &format!("{host}.a.test")).unwrap();
    assert_eq!(found, [format!("{host}.b.test."), format!("{host}.")]);
    let walked = |elements: usize| {
        let mut list = String::new();
        (0..elements).for_each(|n| write!(list, "s{n}.test ").unwrap());
        walk(&pod(&list, Some(5), SearchFrom::Runtime), "www.s0.test").unwrap()
    };
    assert_eq!(walked(MOST).len(), MOST);
    assert_eq!(walked(MOST)[MOST - 2..], ["www.s31.test.", "www."]);
    // What is not walked comes before the name as it is.
    assert_eq!(walked(MOST + 1).last().unwrap(), "www.s31.test.");
}

#[test]
fn a_name_that_ends_with_a_longer_element_was_made_by_that() {
    let pod = pod("test a.test c.a.test b.example", Some(5), SearchFrom::Runtime);
    assert_eq!(walk(&pod, "www.a.test"), None);
    assert_eq!(walk(&pod, "www.c.a.test"), None);
    for own in ["a.test", "ba.test", "www.ba.test"] {
        assert!(walk(&pod, own).is_some(), "{own}");
    }
}

#[test]
fn it_stops_where_a_name_is_asked_for_as_another_and_when_it_takes_long() {
    let pod = pod("a.test b.test c.test", Some(5), SearchFrom::Runtime);
    let asked = name("www.a.test");
    let rewrite = Rewrite { kind: RewriteKind::Suffix, from: name("c.test"), to: name("d.test") };
    let rewrites = Rewrites::new(&[rewrite]);
    let mut path = Path::of(&pod, asked.as_wire(), NOW).unwrap();
    let next = |path: &mut Path, now| {
        path.next(asked.as_wire(), &rewrites, now).map(|name| Presentation(&name).to_string())
    };
    assert_eq!(next(&mut path, NOW).as_deref(), Some("www.b.test."));
    assert_eq!(next(&mut path, NOW), None);
    let mut path = Path::of(&pod, asked.as_wire(), NOW).unwrap();
    assert_eq!(next(&mut path, NOW + LONGEST), None);
    assert!(path.step < pod.search.len());
}
