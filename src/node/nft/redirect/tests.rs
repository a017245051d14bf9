//! The redirect as a value: what it holds, and what it does not take.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use super::super::message::Batch;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn each_pair_has_a_rule_a_way_and_a_transport() {
    let pairs =
        [(ip("10.96.0.10"), ip("169.254.20.11")), (ip("fd00:10:96::a"), ip("fd00:5353::11"))];
    let table = table(&pairs).unwrap();
    let rules: Vec<usize> = table.chains.iter().map(|chain| chain.rules.len()).collect();
    assert_eq!(rules, [4, 4]);
    for chain in &table.chains {
        for rule in &chain.rules {
            let notrack = rule.iter().position(|step| *step == Expr::Notrack).unwrap();
            assert!(matches!(rule[notrack + 1..], [Expr::Constant(_), Expr::Store(_)]), "{rule:?}");
        }
    }
    // What goes out by one address comes back by it.
    let ends = |rule: &[Expr]| match (&rule[3], &rule[rule.len() - 2]) {
        (Expr::Equals(from), Expr::Constant(to)) => (from.clone(), to.clone()),
        other => panic!("{other:?}"),
    };
    for (out, back) in table.chains[0].rules.iter().zip(&table.chains[1].rules) {
        let (from, to) = ends(out);
        assert_eq!(ends(back), (to, from));
    }
}

#[test]
fn no_pairs_or_bad_ones_are_refused_before_anything_is_tried() {
    assert!(matches!(add(&[]), Err(NftError::Plan(PlanError::Empty))));
    let (four, six) = (ip("10.96.0.10"), ip("fd00:5353::11"));
    let error = add(&[(four, six)]).unwrap_err();
    assert!(error.to_string().contains("10.96.0.10 and fd00:5353::11"), "{error}");
    assert!(matches!(present(&[(four, four)]), Err(NftError::Plan(PlanError::Twice(_)))));
}

#[test]
fn the_longest_transaction_fits_what_a_socket_sends() {
    let pair = |n: u16| {
        let v6 = |net: u16| IpAddr::from([0xfd00, net, 0, 0, 0, 0, 0, n]);
        (v6(1), v6(2))
    };
    let pairs: Vec<_> = (1..=super::super::MAX_ADDRESSES as u16).map(pair).collect();
    let mut batch = Batch::new(1);
    batch.replace(&table(&pairs).unwrap());
    // The default of net.core.wmem_default, less what the kernel keeps for itself.
    let length = batch.finish().len();
    assert!(length < 212_992 - 32, "{length} bytes");
}
