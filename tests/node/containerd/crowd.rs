//! As many pods as a node has, made at once as after its start, and taken away at once.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use super::runtime::dns;
use super::{KUBELET, Place};
use crate::lab::{COREDNS, Lab};
use crate::netns::Netns;
use crate::process::{PATIENCE, checked, wait_for};

#[test]
fn a_hundred_pods_at_once() {
    const PODS: usize = 100;
    /// As many as a kubelet of a large node makes side by side.
    const WORKERS: usize = 10;
    let place = Place::on(Lab::alone(), Some(json!({})));
    let runtime = &place.runtime;
    let _daemon = place.daemon(r#"["cni"]"#);
    let side_by_side = |work: &(dyn Fn(usize) + Sync)| {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(number) =
                        Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < PODS)
                    {
                        work(number);
                    }
                });
            }
        });
    };
    let ids: Vec<_> = (0..PODS).map(|_| std::sync::OnceLock::new()).collect();
    let began = Instant::now();
    side_by_side(&|number| {
        let config = runtime.config(&format!("web-{number}"), dns(&[COREDNS], KUBELET), &[]);
        let id = runtime.cri().run_pod(&config).unwrap_or_else(|error| panic!("{error}"));
        ids[number].set(id).unwrap();
    });
    println!("{PODS} pods up in {:.1?}", began.elapsed());
    assert_eq!((runtime.records().len(), runtime.leases().len()), (PODS, PODS));
    // Each asks its nameserver from where it is, and we know each by its name.
    let addresses: Vec<_> = (0..PODS).map(|_| std::sync::OnceLock::new()).collect();
    side_by_side(&|number| {
        let name = format!("cbr0_{}_eth0.json", ids[number].get().unwrap());
        let record = std::fs::read(runtime.path("pods").join(name)).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let netns = Netns::named(record["netns"].as_str().unwrap().to_owned());
        let dig = |what: &str| {
            let server = format!("@{COREDNS}");
            let mut command = Command::new("dig");
            command.args(["+short", "+tries=3", "+timeout=5", &server]).args(what.split(' '));
            netns.run(|| checked(&mut command))
        };
        wait_for("the daemon to know the pod", PATIENCE, || {
            let rows = dig("CH TXT whoami.horizond");
            rows.lines().any(|row| row == format!("\"pod web-{number}\"")).then_some(())
        });
        assert_eq!(dig("web.default.svc.cluster.local A"), "10.96.0.20\n");
        addresses[number].set(record["addresses"][0].as_str().unwrap().to_owned()).unwrap();
    });
    let mut addresses: Vec<_> = addresses.iter().map(|a| a.get().unwrap()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), PODS);
    let began = Instant::now();
    side_by_side(&|number| {
        let id = ids[number].get().unwrap();
        runtime.cri().stop_pod(id).unwrap();
        runtime.cri().remove_pod(id).unwrap();
    });
    println!("gone in {:.1?}", began.elapsed());
    runtime.is_left_as_it_was();
    place.knows(0);
}
