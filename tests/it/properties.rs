//! The promises, held against messages that proptest makes up.

use std::path::Path;

use hickory_proto::op::Message;
use horizond::answer::Question;
use horizond::config::Config;
use horizond::config::file;
use horizond::local;
use horizond::route::RouteTable;
use horizond::wire::name::Name;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::messages::{name, query, response, spoil, spoils};
use crate::promises;
use crate::promises::accept::PARAMETERS;

fn wire(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// The daemon's form of a name that hickory-proto made.
fn folded(name: &hickory_proto::rr::Name) -> Vec<u8> {
    let mut wire: Vec<u8> = vec![];
    for label in name.iter() {
        wire.push(label.len() as u8);
        wire.extend(label.to_ascii_lowercase());
    }
    wire.push(0);
    wire
}

/// Local data with a bit of everything.
fn local_data() -> local::Data {
    let text = "[local]\nprivate_reverse = \"nxdomain\"\n\
        [[local.record]]\nname = \"*.example.com\"\ntype = \"A\"\nvalue = \"10.0.0.1\"\n\
        [[local.record]]\nname = \"*.test\"\ntype = \"CNAME\"\nvalue = \"a.example\"\n\
        [[route]]\nname = \"a\"\nsuffixes = [\".\"]\nupstreams = [\"10.0.0.1\"]\n";
    local::Data::new(&file::parse(text, Path::new("made.toml")).unwrap().config.local)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_as_query(bytes in vec(any::<u8>(), 0..300)) {
        promises::query::check(&bytes);
    }

    #[test]
    fn spoiled_queries(message in query(), ways in spoils()) {
        promises::query::check(&spoil(wire(&message), &ways));
    }

    #[test]
    fn sound_queries_are_read_as_hickory_reads_them(message in query()) {
        promises::roundtrip::check(&wire(&message));
    }

    #[test]
    fn any_bytes_as_answer(bytes in vec(any::<u8>(), 0..300)) {
        promises::accept::check(&bytes);
    }

    #[test]
    fn spoiled_answers(
        parameters in any::<[u8; PARAMETERS]>(),
        message in response(),
        ways in spoils(),
    ) {
        let bytes = spoil(wire(&message), &ways);
        promises::query::check(&bytes);
        promises::accept::check(&[&parameters[..], &bytes].concat());
    }

    #[test]
    fn sound_answers_are_read_as_hickory_reads_them(message in response()) {
        promises::roundtrip::check(&wire(&message));
    }

    #[test]
    fn stored_answers(bytes in vec(any::<u8>(), 0..2000)) {
        promises::respond::check(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_cut_of_a_query(message in query()) {
        let whole = wire(&message);
        (0..whole.len()).for_each(|end| promises::query::check(&whole[..end]));
    }

    #[test]
    fn every_cut_of_an_answer(parameters in any::<[u8; PARAMETERS]>(), message in response()) {
        let whole = [&parameters[..], &wire(&message)].concat();
        (0..whole.len().min(600)).for_each(|end| promises::accept::check(&whole[..end]));
    }

    #[test]
    fn every_pointer_to_every_place(to in 0..80u16, message in response()) {
        let whole = wire(&message);
        for at in 12..whole.len().min(120) {
            let mut bytes = [&[0x3f; PARAMETERS][..], &whole].concat();
            let pointer = (0xc000 | to).to_be_bytes();
            let place = bytes.iter_mut().skip(PARAMETERS + at);
            place.zip(pointer).for_each(|(old, new)| *old = new);
            promises::query::check(&bytes[PARAMETERS..]);
            promises::accept::check(&bytes);
        }
    }
}

/// Routes with these suffixes and prefixes; `None` where the configuration refuses them.
fn routes(owned: &[(Vec<String>, Vec<String>)]) -> Option<Config> {
    let mut text = "[listen]\naddresses = [\"127.0.0.1:5300\"]\n".to_owned();
    for (i, (suffixes, reverse)) in owned.iter().enumerate() {
        text.push_str(&format!(
            "[[route]]\nname = \"r{i}\"\nsuffixes = {suffixes:?}\nreverse = {reverse:?}\n\
             upstreams = [\"192.0.2.1\"]\n"
        ));
    }
    file::parse(&text, Path::new("t.toml")).ok().map(|loaded| loaded.config)
}

/// Few labels, so that names and suffixes meet often.
fn domain() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        Just("a"),
        Just("b"),
        Just("ab"),
        Just("local"),
        Just("arpa"),
        Just("in-addr"),
        Just("ip6"),
        Just("10"),
        Just("1"),
        Just("0"),
        Just("f"),
        Just("255"),
        Just("01"),
    ];
    let zone = prop_oneof![4 => Just(""), 3 => Just("in-addr.arpa"), 1 => Just("ip6.arpa")];
    (vec(label, 0..5), zone).prop_map(|(labels, zone)| {
        let text = labels.into_iter().chain([zone]).filter(|l| !l.is_empty());
        let text = text.collect::<Vec<_>>().join(".");
        if text.is_empty() { ".".to_owned() } else { text }
    })
}

fn prefix() -> impl Strategy<Value = String> {
    let v4 = (prop_oneof![Just(10u32 << 24), Just(0x0a0a_0a0a), Just(0x0101_010a)], 0..=32u32);
    let v6 = (prop_oneof![Just(0u128), Just(1 << 124), Just(15 << 120)], 0..=128u32);
    prop_oneof![
        3 => v4.prop_map(|(bits, len)| {
            let kept = u64::from(bits) >> (32 - len) << (32 - len);
            format!("{}/{len}", std::net::Ipv4Addr::from_bits(kept as u32))
        }),
        1 => v6.prop_map(|(bits, len)| {
            let kept = if len == 0 { 0 } else { bits >> (128 - len) << (128 - len) };
            format!("{}/{len}", std::net::Ipv6Addr::from_bits(kept))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn routes_are_those_of_a_plain_search(
        owned in vec((vec(domain(), 1..4), vec(prefix(), 0..3)), 1..5),
        names in vec(domain(), 1..30),
    ) {
        let Some(config) = routes(&owned) else { return Ok(()) };
        let table = RouteTable::new(&config);
        for name in names {
            let name: Name = name.parse().unwrap();
            promises::config::check_name(&table, &config, name.as_wire());
        }
    }

    #[test]
    fn local_answers_are_sound(name in name(), ending in 0..10usize, qtype in any::<u16>()) {
        let endings = [
            "localhost.", "invalid.", "onion.", "test.", "resolver.arpa.", "com.", "example.com.", ".",
            "10.in-addr.arpa.", "8.e.f.ip6.arpa.",
        ];
        let data = local_data();
        let ending = hickory_proto::rr::Name::from_ascii(endings[ending]).unwrap();
        let Ok(name) = name.append_domain(&ending) else { return Ok(()) };
        let name = folded(&name);
        for qtype in [1, 28, qtype] {
            let question = Question { name: &name, qtype, qclass: 1 };
            let made = [
                data.answer(question, None),
                Some(local::ds_at_apex(question)),
                Some(local::minimal_any(question)),
            ];
            for answer in made.into_iter().flatten() {
                let read = Message::from_vec(answer.wire()).unwrap();
                prop_assert_eq!(folded(&read.queries[0].name), name.clone());
                prop_assert_eq!(read.answers.len() + read.authorities.len(), 1);
                prop_assert_eq!(answer.view().ttls().len(), 1);
            }
        }
    }
}

#[test]
fn the_plain_search_has_something_to_find() {
    let owned = [(vec!["a.local".to_owned()], vec!["10.0.0.0/8".to_owned()])];
    assert_eq!(routes(&owned).unwrap().routes.len(), 1);
}
