//! In which order an exchange asks the upstreams of its route.

use std::sync::atomic::Ordering;

use super::RouteState;
use super::health::State;
use crate::config::{MAX_UPSTREAMS, Policy};
use crate::time::Tick;

/// Places in [`RouteState::upstreams`], the first to be asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    places: [u8; MAX_UPSTREAMS],
    len: u8,
}

impl Order {
    /// The places in turn.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        self.places[..usize::from(self.len)].iter().copied()
    }
}

/// How often [`Policy::Fastest`] asks another than the fastest, to learn how fast it has become.
const EXPLORE_EVERY: u32 = 64;

/// Orders the upstreams for an exchange that starts at `now`: by the route's policy, those that are
/// down behind those that are up, and one whose probe is due in front of all, for one caller.
/// `random` is any random number.
pub fn order(route: &RouteState, now: Tick, random: u32) -> Order {
    let len = route.upstreams.len().min(MAX_UPSTREAMS);
    let mut order = Order { places: std::array::from_fn(|i| i as u8), len: len as u8 };
    if len < 2 {
        return order;
    }
    let places = &mut order.places[..len];
    match route.policy {
        Policy::InOrder => {}
        Policy::RoundRobin => {
            places.rotate_left(route.turn.fetch_add(1, Ordering::Relaxed) % len);
        }
        Policy::Fastest if random.is_multiple_of(EXPLORE_EVERY) => {
            places.rotate_left((random / EXPLORE_EVERY) as usize % len);
        }
        // One that was never asked has no time yet and comes first: so each is tried once.
        Policy::Fastest => {
            places.sort_by_key(|&p| route.upstreams[usize::from(p)].health.srtt());
        }
    }
    let health = |p: u8| &route.upstreams[usize::from(p)].health;
    places.sort_by_key(|&p| health(p).state(now) != State::Up);
    let due = places.iter().position(|&p| health(p).state(now) == State::Probe);
    if let Some(at) = due.filter(|&at| health(places[at]).claim_probe(now)) {
        places[..=at].rotate_right(1);
    }
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::upstream::tests::route_of;
    use std::time::Duration;

    fn places(route: &RouteState, now: Tick) -> Vec<u8> {
        order(route, now, 1).iter().collect()
    }

    #[test]
    fn policies() {
        let mut route = route_of(3);
        assert_eq!(places(&route, Tick(0)), [0, 1, 2]);
        route.policy = Policy::RoundRobin;
        let turns: Vec<_> = (0..4).map(|_| places(&route, Tick(0))[0]).collect();
        assert_eq!(turns, [0, 1, 2, 0]);
        route.policy = Policy::Fastest;
        for (place, ms) in [(0, 30), (1, 10), (2, 20)] {
            route.upstreams[place].health.answered(Duration::from_millis(ms));
        }
        assert_eq!(places(&route, Tick(0)), [1, 2, 0]);
        assert_eq!(order(&route, Tick(0), 2 * EXPLORE_EVERY).iter().next(), Some(2));
    }

    #[test]
    fn one_that_is_down_comes_last_until_its_probe() {
        let route = route_of(2);
        for _ in 0..3 {
            route.upstreams[0].health.failed(Tick(0));
        }
        assert_eq!(places(&route, Tick(0)), [1, 0]);
        assert_eq!(places(&route, Tick(1_000_000)), [0, 1]);
        assert_eq!(places(&route, Tick(1_000_000)), [1, 0]);
    }
}
