//! Clients that ask more than `[admit] rate` allows.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::table::{Client, bytes};
use crate::world::World;

/// 127.0.0.9 may not ask.
fn world(over: &str) -> World {
    let toml = format!(
        "[admit]\nallow = [\"127.0.0.0/29\"]\nrate = 10\nburst = 5\nover = \"{over}\"\n\
         cookie_secret = \"e5e973e5a6b2a43f48e7dc849e37bfcf\"\n\
         [[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"$isp\"]\n"
    );
    World::start(&toml, 1).unwrap()
}

fn client(world: &World, last: u8, tcp: bool) -> Client {
    Client::new(world.addr, Ipv4Addr::new(127, 0, 0, last).into(), tcp)
}

fn wire(text: &str) -> Vec<u8> {
    bytes(text, &HashMap::new())
}

const LOCAL: &str = "0001 0000 0000 0000 'LocalHost' 0001 0001";
const FOUND: &str =
    "0001 0001 0000 0000 'LocalHost' 0001 0001 c00c 0001 0001 00000e10 { 7f000001 }";

/// Asks so many times; how many answers are whole, and how many only TC.
fn ask(client: &mut Client, times: usize) -> (usize, usize) {
    let (found, cut) = (wire(&format!("1234 8580 {FOUND}")), wire(&format!("1234 8380 {LOCAL}")));
    let (mut whole, mut empty) = (0, 0);
    for _ in 0..times {
        client.send(&wire(&format!("1234 0100 {LOCAL}")));
        match client.receive().unwrap() {
            answer if answer == found => whole += 1,
            answer if answer == cut => empty += 1,
            answer => panic!("{answer:02x?}"),
        }
    }
    (whole, empty)
}

#[test]
fn over_the_rate_an_empty_answer_with_tc_and_tcp_goes_on() {
    let world = world("truncate");
    let mut one = client(&world, 1, false);
    assert_eq!(ask(&mut one, 8), (5, 3));
    world.clock.advance(Duration::from_millis(99));
    assert_eq!(ask(&mut one, 2), (0, 2));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(ask(&mut one, 3), (1, 2));
    // Another socket of it is the same client, another address is not; TCP has no rate.
    assert_eq!(ask(&mut client(&world, 1, false), 2), (0, 2));
    assert_eq!(ask(&mut client(&world, 2, false), 6), (5, 1));
    assert_eq!(ask(&mut client(&world, 1, true), 50), (50, 0));
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(ask(&mut one, 8), (5, 3));
}

#[test]
fn the_empty_answer_has_what_is_due_and_no_more() {
    let world = world("truncate");
    let mut one = client(&world, 1, false);
    ask(&mut one, 5);
    let options = "000a { 2464c4abcf10c957 } 0003 {} 000b {}";
    let opt = format!("00 0029 1000 00008000 {{ {options} }}");
    one.send(&wire(&format!("1234 0110 0001 0000 0000 0001 'www.Example.com' 0001 0001 {opt}")));
    let cookie = "2464c4abcf10c957 010000005cf79f11 5123fef66b6cdd80";
    let opt = format!("00 0029 04d0 00008000 {{ 000a {{ {cookie} }} }}");
    let due = wire(&format!("1234 8390 0001 0000 0000 0001 'www.Example.com' 0001 0001 {opt}"));
    assert_eq!(one.receive(), Some(due));
}

#[test]
fn over_the_rate_silence_where_the_config_says_so() {
    let world = world("drop");
    let mut one = client(&world, 1, false);
    assert_eq!(ask(&mut one, 5), (5, 0));
    for id in 0..20u8 {
        one.send(&wire(&format!("{id:04x} 0100 {LOCAL}")));
    }
    // Behind them in the same socket: they have been seen.
    assert_eq!(ask(&mut client(&world, 2, false), 1), (1, 0));
    world.clock.advance(Duration::from_millis(100));
    assert_eq!(ask(&mut one, 1), (1, 0));
}

#[test]
fn malformed_messages_and_strangers_count_and_get_silence() {
    let world = world("truncate");
    for (last, message, answer) in [
        (1, "1234 2000 0000 0000 0000 0000", "1234 a084 0000 0000 0000 0000"),
        (2, "1234 0100 0000 0000 0000 0000", "1234 8181 0000 0000 0000 0000"),
        (9, "1234 0100 0000 0000 0000 0000", "1234 8185 0000 0000 0000 0000"),
    ] {
        let mut one = client(&world, last, false);
        for _ in 0..5 {
            one.send(&wire(message));
            assert_eq!(one.receive(), Some(wire(answer)));
        }
        (0..5).for_each(|_| one.send(&wire(message)));
        // Behind them in the same socket: they have been seen. What comes next is for the next.
        assert_eq!(ask(&mut client(&world, 3, false), 1), (1, 0));
        world.clock.advance(Duration::from_secs(1));
        one.send(&wire(&message.replacen("1234", "4321", 1)));
        let answer = answer.replacen("1234", "4321", 1);
        assert_eq!(one.receive(), Some(wire(&answer)), "127.0.0.{last}");
    }
}
