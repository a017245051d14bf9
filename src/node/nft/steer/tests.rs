//! Plans as values.

#![allow(clippy::unwrap_used)]

use super::super::expr::Expr;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn chain<'a>(table: &'a super::super::table::Table, name: &str) -> &'a [Vec<Expr>] {
    &table.chains.iter().find(|chain| chain.name == name).unwrap().rules
}

#[test]
fn an_address_has_one_part_only() {
    let (local, cluster, stand_in) = (ip("169.254.20.10"), ip("10.96.0.10"), ip("169.254.20.11"));
    let plan = |local: &[_], pairs: &[_], services: &[_]| {
        Plan::new(local.to_vec(), pairs.to_vec(), services.to_vec())
    };
    assert_eq!(plan(&[], &[], &[]), Err(PlanError::Empty));
    assert_eq!(plan(&[local], &[(cluster, local)], &[]), Err(PlanError::Twice(local)));
    assert_eq!(
        plan(&[stand_in], &[(cluster, stand_in)], &[]),
        Err(PlanError::Twice(stand_in)),
        "a stand-in is not ours while we are dead"
    );
    // One address may be bound here and stood in for: two ways to one server.
    assert!(plan(&[local], &[(cluster, stand_in)], &[cluster]).is_ok());
}

#[test]
fn without_steering_there_is_no_pulse_and_nothing_is_left() {
    let plan = Plan::new(vec![ip("169.254.20.10")], vec![], vec![]).unwrap();
    assert!(!plan.has_pulse());
    assert_eq!(plan.at_rest(), None);
    let table = plan.table();
    assert_eq!(chain(&table, "queries").len(), 1);
    assert_eq!(chain(&table, "arriving").len(), 1, "the jump alone");
}

#[test]
fn the_alive_come_before_the_way_around() {
    let pairs = vec![(ip("10.96.0.10"), ip("169.254.20.11")), (ip("fd00::a"), ip("fd00:5353::11"))];
    let plan = Plan::new(vec![ip("169.254.20.10")], pairs, vec![]).unwrap();
    let table = plan.table();
    let sets = |rule: &Vec<Expr>| rule.iter().any(|step| matches!(step, Expr::InSet(_)));
    let queries = chain(&table, "queries");
    assert_eq!(queries.iter().map(sets).collect::<Vec<_>>(), [false, true, true]);
    let arriving = chain(&table, "arriving");
    assert_eq!(arriving[0], [Expr::Jump("queries".into())]);
    assert!(arriving[1..].iter().all(|rule| matches!(rule.last(), Some(Expr::Store(_)))));
    assert_eq!(arriving.len(), 3);
    let [(_, v4), (_, v6)] = plan.pulse();
    assert_eq!((v4, v6), (vec![ip("169.254.20.11")], vec![ip("fd00:5353::11")]));
}

#[test]
fn at_rest_only_the_way_around_is_left() {
    let pairs = vec![(ip("10.96.0.10"), ip("169.254.20.11"))];
    let services = vec![ip("10.96.0.10")];
    let plan = Plan::new(vec![ip("169.254.20.10")], pairs.clone(), services).unwrap();
    assert_eq!(plan.at_rest(), Some(Plan::new(vec![], pairs, vec![]).unwrap()));
}

#[test]
fn the_longest_plan_fits_what_a_socket_sends() {
    let many = |net: u16| -> Vec<IpAddr> {
        (1..=super::super::MAX_ADDRESSES as u16)
            .map(|n| IpAddr::from([0xfd00, net, 0, 0, 0, 0, 0, n]))
            .collect()
    };
    let pairs = many(2).into_iter().zip(many(3)).collect();
    let led: Vec<Pair> = many(5).into_iter().zip(many(6)).collect();
    let plan = Plan::new(many(1), pairs, many(4)).unwrap().leading(&led);
    let mut batch = Batch::new(1);
    batch.replace(&plan.table());
    fill(&mut batch, &plan, true);
    let length = batch.finish().len();
    assert!(length < 212_992 - 32, "{length} bytes");
}

#[test]
fn pods_of_another_configuration_are_led_and_nothing_of_theirs_is_ours() {
    let (cluster, old, new) = (ip("10.96.0.10"), ip("169.254.20.11"), ip("169.254.1.1"));
    let local = ip("169.254.20.10");
    let plain = Plan::new(vec![local], vec![(cluster, new)], vec![]).unwrap();
    // Known already, a stand-in that we answer on, one that makes no sense, and one twice.
    let told = [
        (cluster, new),
        (ip("10.96.0.11"), local),
        (cluster, ip("fd00::1")),
        (cluster, old),
        (ip("10.96.0.12"), old),
    ];
    let plan = plain.clone().leading(&told);
    let table = plan.table();
    assert_eq!(chain(&table, "arriving").len(), 3, "the jump, ours, and the old one");
    assert_eq!(chain(&table, "queries"), chain(&plain.table(), "queries"));
    assert_eq!(plan.pulse(), plain.pulse());
    assert_eq!(plain.clone().leading(&told[..3]), plain);
    // A node that steers nobody any more still leads them at the end.
    let local = Plan::new(vec![local], vec![], vec![]).unwrap().leading(&[(cluster, old)]);
    assert!(!local.has_pulse());
    assert_eq!(chain(&local.at_rest().unwrap().table(), "arriving").len(), 2);
}

#[test]
fn a_fallback_is_made_of_what_makes_sense() {
    let pair = |a: &str, b: &str| (ip(a), ip(b));
    let good = [pair("10.96.0.10", "169.254.20.11"), pair("fd00::a", "fd00:5353::11")];
    let bad = [pair("10.96.0.10", "fd00::1"), pair("10.96.0.11", "169.254.20.11")];
    let plan = Plan::new(vec![], good.to_vec(), vec![]).unwrap();
    assert_eq!(Plan::fallback(&[good[0], bad[0], bad[1], good[1]]), Some(plan));
    assert_eq!(Plan::fallback(&bad[..1]), None);
    assert_eq!(Plan::fallback(&[]), None);
}
