//! A real Prometheus scrapes the daemon, and promtool finds no fault in what it reads.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::daemon::{ADMIN, Settings};
use crate::http;
use crate::lab::{Lab, NODE_V4};
use crate::pod::Pod;
use crate::process::{Service, checked_with_input, wait_for};
use crate::servers::{self, Authority};

const PROMETHEUS: &str = "127.0.0.1:9090";
/// Prometheus spreads its scrapes over an interval and starts slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn start(lab: &Lab) -> Service {
    let config = format!(
        "global:\n  scrape_interval: 1s\n\
         scrape_configs:\n  - job_name: horizond\n    static_configs:\n\
         \x20     - targets: [\"{ADMIN}\"]\n"
    );
    let config = lab.file("prometheus.yml", &config);
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", lab.path("prometheus").display()))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .stdin(Stdio::null());
    Service::start(&lab.node, &mut command, &lab.path("prometheus.log"))
}

/// The values of an instant query, by Prometheus' own API.
fn query(lab: &Lab, expression: &str) -> Vec<f64> {
    let path = format!("/api/v1/query?query={expression}");
    let Ok((200, body)) = http::get(&lab.node, PROMETHEUS, &path) else { return Vec::new() };
    let reply: serde_json::Value = serde_json::from_str(&body).unwrap();
    let series = reply["data"]["result"].as_array().cloned().unwrap_or_default();
    series.iter().map(|one| one["value"][1].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn prometheus_scrapes_it_and_promtool_is_content() {
    let lab = Lab::new();
    let _coredns = servers::fake_coredns(&lab, 1);
    let _magicdns = Authority::Nsd.magicdns(&lab);
    let _internet = servers::internet(&lab);
    let _daemon = Settings::default().start(&lab);
    let pod = Pod::new(&lab);
    let names = ["web.default.svc.cluster.local", "nas.c.binrc.com", "www.example.com"];
    for name in names {
        // Twice: once from the upstream and once from the cache.
        for _ in 0..2 {
            pod.dig(&format!("@{NODE_V4} {name} A"));
        }
    }
    pod.dig(&format!("@{NODE_V4} +tcp absent.example.com A"));

    let (status, metrics) = http::get(&lab.node, ADMIN, "/metrics").unwrap();
    assert_eq!(status, 200);
    let mut promtool = Command::new("promtool");
    let said = checked_with_input(promtool.args(["check", "metrics"]), &metrics);
    assert_eq!(said, "");
    for name in names {
        assert!(!metrics.contains(name), "a question's name is no label: {name}");
    }
    assert!(!metrics.contains("10.244.1.5"), "a client's address is no label");

    let mut prometheus = start(&lab);
    wait_for("a scrape", PATIENCE, || {
        assert!(prometheus.ended().is_none(), "{}", prometheus.log());
        (query(&lab, "up{job=\"horizond\"}") == [1.0]).then_some(())
    });
    wait_for("the counters", PATIENCE, || {
        let of_route = |route: &str| {
            query(&lab, &format!("sum(horizond_requests_total{{route=\"{route}\"}})"))
        };
        let counts = ["cluster", "tailnet", "internet"].map(of_route);
        (counts == [vec![2.0], vec![2.0], vec![3.0]]).then_some(())
    });
}
