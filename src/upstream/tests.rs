use super::*;

/// A route with so many upstreams at addresses that nobody asks.
pub fn route_of(upstreams: u8) -> RouteState {
    let route = Route {
        name: "test".into(),
        suffixes: vec![],
        reverse: vec![],
        upstreams: vec![],
        headcni_conflist: None,
        policy: Policy::InOrder,
        timeout: Duration::from_secs(2),
        deadline: Duration::from_secs(4),
        private: true,
        servfail_as_nxdomain: false,
        max_ttl: Duration::from_secs(86_400),
        max_negative_ttl: Duration::from_secs(5),
        stale: Duration::from_secs(60),
        ports: 4,
        follow_private: false,
        rebind_protection: false,
        rebind_allow: vec![],
        randomize_case: false,
        dns64: None,
    };
    let list = (1..=upstreams)
        .map(|i| Arc::new(Upstream::new(([127, 0, 0, i], 9).into(), Transport::Udp)))
        .collect();
    RouteState::new(0, &route, list)
}
