//! Which records of an upstream's message are passed on: those for names that were asked about, in a
//! world where every name belongs to the route.

use super::naive::{Message, Rr};

/// The answer section's records by the names of the chain, and the last of these names.
struct Chain {
    marked: Vec<bool>,
    last: Vec<u8>,
}

/// Name, type and class of the question.
fn asked(message: &Message) -> (Vec<u8>, u16, u16) {
    let (name, fixed) = message.question.split_at(message.question.len() - 4);
    let word = |i: usize| u16::from_be_bytes([fixed[i], fixed[i + 1]]);
    (name.to_ascii_lowercase(), word(0), word(2))
}

/// Whether `zone` is `name` or a zone above it.
pub fn encloses(zone: &[u8], name: &[u8]) -> bool {
    let mut rest = name;
    loop {
        if rest == zone {
            return true;
        }
        match rest.first() {
            None | Some(0) => return false,
            Some(&len) => rest = &rest[1 + usize::from(len)..],
        }
    }
}

fn is_dname(rr: &Rr) -> bool {
    rr.rtype == 39 || rr.rtype == 46 && rr.rdata.starts_with(&[0, 39])
}

fn follow(message: &Message) -> Chain {
    let (mut name, qtype, qclass) = asked(message);
    let mut chain = Chain { marked: vec![false; message.records.len()], last: name.clone() };
    for _ in 0..17 {
        let (mut found, mut cname, mut dname) = (false, None, None);
        for (rr, marked) in message.records.iter().zip(&mut chain.marked) {
            if rr.section > 0 || rr.class != qclass {
                continue;
            }
            if rr.owner != name {
                if is_dname(rr) && encloses(&rr.owner, &name) && !*marked {
                    *marked = true;
                    if rr.rtype == 39 {
                        dname = dname.or(Some(rr));
                    }
                }
                continue;
            }
            if rr.rtype == qtype || qtype == 255 {
                found = true;
            } else if rr.rtype == 5 {
                if cname.is_some() {
                    continue;
                }
                cname = Some(rr.rdata.clone());
            }
            *marked = true;
        }
        let target = cname.or_else(|| {
            let dname = dname?;
            let made = [&name[..name.len() - dname.owner.len()], &dname.rdata].concat();
            (made.len() <= 255).then_some(made)
        });
        match target {
            Some(target) if !found => name = target,
            _ => break,
        }
        chain.last.clone_from(&name);
    }
    chain
}

/// Whether each record is passed on, OPT and TSIG aside.
pub fn passed_on(message: &Message) -> Vec<bool> {
    let chain = follow(message);
    let question = asked(message).0;
    let whole = message.records.iter().zip(&chain.marked);
    whole
        .map(|(rr, marked)| match (rr.section, rr.rtype) {
            (0, _) => *marked,
            (1, 6) => encloses(&rr.owner, &question) || encloses(&rr.owner, &chain.last),
            _ => true,
        })
        .collect()
}
