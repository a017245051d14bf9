//! The questions: every name with every type that may matter, then at random; the same for the same
//! seed.

use crate::message::{AD, CD, RD, show_name, to_wire, type_name, type_number};
use crate::zones::{FULL, long_label, longest};

/// SplitMix64: small, and the same on every machine and in every version.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    /// An order at random (Fisher and Yates).
    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

/// The OPT record of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    pub payload: u16,
    pub version: u8,
    pub dnssec_ok: bool,
    /// Reserved bits.
    pub rest: u16,
    pub options: Vec<(u16, Vec<u8>)>,
}

/// One question with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Wire format, in the case that is asked in.
    pub name: Vec<u8>,
    pub qtype: u16,
    pub qclass: u16,
    /// RD, AD, CD.
    pub flags: u16,
    pub edns: Option<Edns>,
    pub tcp: bool,
}

impl Question {
    /// The query with this id.
    pub fn encode(&self, id: u16) -> Vec<u8> {
        let mut query = Vec::with_capacity(64);
        for word in [id, self.flags, 1, 0, 0, u16::from(self.edns.is_some())] {
            query.extend(word.to_be_bytes());
        }
        query.extend(self.section());
        if let Some(edns) = &self.edns {
            let rdata: Vec<u8> = edns
                .options
                .iter()
                .flat_map(|(code, data)| {
                    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
                })
                .collect();
            query.extend([0, 0, 41]);
            query.extend(edns.payload.to_be_bytes());
            query.extend([0, edns.version]);
            query.extend((u16::from(edns.dnssec_ok) << 15 | edns.rest).to_be_bytes());
            query.extend((rdata.len() as u16).to_be_bytes());
            query.extend(rdata);
        }
        query
    }

    /// The question section.
    pub fn section(&self) -> Vec<u8> {
        [&self.name[..], &self.qtype.to_be_bytes(), &self.qclass.to_be_bytes()].concat()
    }

    pub fn dnssec_ok(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.dnssec_ok)
    }

    /// How many labels, the root not counted.
    pub fn labels(&self) -> usize {
        let mut rest = &self.name[..];
        let mut labels = 0;
        while let Some((&len, tail)) = rest.split_first().filter(|(len, _)| **len > 0) {
            rest = &tail[usize::from(len)..];
            labels += 1;
        }
        labels
    }

    /// As one would type it for dig, nearly.
    pub fn show(&self) -> String {
        let mut words = vec![show_name(&self.name), type_name(self.qtype)];
        let mut add = |on: bool, word: &str| {
            if on {
                words.push(word.into());
            }
        };
        add(self.qclass != 1, &format!("CLASS{}", self.qclass));
        add(self.tcp, "+tcp");
        add(self.flags & RD == 0, "+norecurse");
        add(self.flags & AD != 0, "+adflag");
        add(self.flags & CD != 0, "+cdflag");
        match &self.edns {
            None => add(true, "+noedns"),
            Some(edns) => {
                add(true, &format!("+bufsize={}", edns.payload));
                add(edns.version > 0, &format!("+edns={}", edns.version));
                add(edns.dnssec_ok, "+dnssec");
                add(edns.rest > 0, &format!("+ednsflags={:#x}", edns.rest));
                for (code, data) in &edns.options {
                    let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
                    add(true, &format!("+ednsopt={code}:{hex}"));
                }
            }
        }
        words.join(" ")
    }
}

/// Owners of [`crate::zones::full`], and names beside, above and below them.
const NAMES: &str = "\
@ ns1 mail www mixed MIXED *.wild x.wild a.b.c.wild known.wild under.known.wild below.wild \
x.below.wild ent.below.wild wild deep er.deep x.deep.er.wild a.x.deep.er.wild *.deep.er.wild er.wild \
x.walias y.z.walias *.walias x.wvoid x.wchain x.wout alias alias2 nodata dangling outside loop1 loop2 \
self a.b.c.ent b.c.ent c.ent ent x.c.ent x.b.went b.went went dname x.dname y.x.dname alias.dname \
t.sub.dname missing.dname dout x.dout x.other other away ns.away x.away a.b.away child ns1.child \
www.child x.wild.child missing.child up.child zero zalias one week longer longest strings unknown srv \
naptr loc hinfo rp sshfp tlsa uri svcb https ptr mx dual a\\000b sp\\032ace d\\.ot \\255\\254 \\092back \
\\064at -_-.9 mid.*.star *.star star escape a57 a120 a250 t250 t40 mx40 many giant chain1 chain5 chain12 \
chain15 chain16 chain17 chain20 missing x.missing x.www xwww xalias xnone _dmarc www.www.www";

/// Types worth asking any name for.
const COMMON: &str = "A AAAA TXT MX NS SOA CNAME";
const RARE: &str = "DNAME SRV PTR CAA SVCB HTTPS DS DNSKEY NSEC NSEC3 NSEC3PARAM RRSIG ANY LOC HINFO NAPTR RP SSHFP \
TLSA URI TYPE65280 TYPE65281 TYPE65282 TYPE65534";
/// Types that are no data, or that nobody may ask for.
const META: &str = "OPT TKEY TSIG IXFR AXFR MAILB MAILA TYPE0 TYPE65535 TYPE128";

/// What each owner has beside the common types.
const OWN: &str = "@:CAA @:DNSKEY @:NSEC3PARAM @:DS @:NSEC @:RRSIG @:ANY @:AXFR @:IXFR child:DS child:DNSKEY \
child:ANY away:DS dname:DNAME dout:DNAME unknown:TYPE65280 unknown:TYPE65281 unknown:TYPE65282 srv:SRV naptr:NAPTR \
loc:LOC hinfo:HINFO rp:RP sshfp:SSHFP tlsa:TLSA uri:URI svcb:SVCB https:HTTPS ptr:PTR giant:TYPE65280 \
www:ANY www:OPT www:TKEY www:TSIG www:MAILB www:TYPE0";

/// Names that no zone here has, or that are special.
const ELSEWHERE: &str = "www.unserved.example.net nowhere.example.org . net example org localhost \
a.localhost x.invalid x.onion x.test 1.2.0.192.in-addr.arpa 53.2.0.192.in-addr.arpa \
99.2.0.192.in-addr.arpa 130.2.0.192.in-addr.arpa 130.128/26.2.0.192.in-addr.arpa \
2.0.192.in-addr.arpa 1.0.0.127.in-addr.arpa resolver.arpa";

fn words(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.split_whitespace()
}

fn under(label: &str, apex: &str) -> String {
    if label == "@" { apex.into() } else { format!("{label}.{apex}") }
}

/// Names too long for a constant, relative to an apex.
fn long_names(apex: &str) -> Vec<String> {
    let (m, x) = (long_label('m'), long_label('x'));
    let longest = longest(apex);
    // Another name of 255 bytes, which does not exist; below the wildcard; below the long DNAME, where
    // it fits and where it does not.
    let absent = longest.replacen('l', "k", 1);
    vec![
        m.clone(),
        x.clone(),
        longest,
        absent,
        format!("{x}.{m}.wild"),
        "x.dlong".into(),
        format!("{x}.dlong"),
        "dlong".into(),
    ]
}

/// All pairs of names and types that every run asks.
fn pairs() -> Vec<(Vec<u8>, u16)> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, qtype: &str| pairs.push((to_wire(name), type_number(qtype)));
    for apex in FULL {
        let names = words(NAMES).map(str::to_owned).chain(long_names(apex));
        for name in names {
            words("A TXT").for_each(|qtype| add(&under(&name, apex), qtype));
        }
        for pair in words(OWN) {
            let (name, qtype) = pair.split_once(':').unwrap();
            add(&under(name, apex), qtype);
        }
        words(COMMON).for_each(|qtype| add(apex, qtype));
    }
    for name in words(ELSEWHERE) {
        words("A AAAA PTR SOA NS DS").for_each(|qtype| add(name, qtype));
    }
    pairs
}

/// `count` questions, in an order of their own.
pub fn questions(seed: u64, count: usize) -> Vec<Question> {
    let mut random = Random(seed);
    let mut pairs = pairs();
    random.shuffle(&mut pairs);
    let names: Vec<Vec<u8>> = pairs.iter().map(|(name, _)| name.clone()).collect();
    let mut questions = Vec::with_capacity(count);
    for number in 0..count {
        let (name, qtype) = match pairs.get(number) {
            Some(pair) => pair.clone(),
            None => (names[random.below(names.len())].clone(), random_type(&mut random)),
        };
        let name = vary(name, &mut random);
        questions.push(dress(name, qtype, &mut random));
    }
    random.shuffle(&mut questions);
    questions
}

fn random_type(random: &mut Random) -> u16 {
    let list = match random.below(20) {
        0 => META,
        1..10 => RARE,
        _ => COMMON,
    };
    let list: Vec<&str> = words(list).collect();
    type_number(random.pick(&list))
}

/// Another case now and then, or a label in front.
fn vary(mut name: Vec<u8>, random: &mut Random) -> Vec<u8> {
    if random.one_in(12) && name.len() < 240 {
        let label: Vec<u8> = (0..=random.below(4)).map(|_| b'a' + random.below(26) as u8).collect();
        name.splice(0..0, [&[label.len() as u8][..], &label].concat());
    }
    if random.one_in(3) {
        for byte in &mut name {
            // Length bytes are below the letters, so that it does not hit them.
            if byte.is_ascii_alphabetic() && random.one_in(2) {
                *byte ^= 0x20;
            }
        }
    }
    name
}

/// Flags, EDNS and transport.
fn dress(name: Vec<u8>, qtype: u16, random: &mut Random) -> Question {
    let mut flags = if random.one_in(25) { 0 } else { RD };
    for flag in [AD, CD] {
        if random.one_in(6) {
            flags |= flag;
        }
    }
    let qclass = if random.one_in(150) { [2, 4, 254, 255][random.below(4)] } else { 1 };
    let edns = (!random.one_in(4)).then(|| Edns {
        payload: [0, 511, 512, 513, 1232, 1232, 1400, 4096, 65535][random.below(9)],
        version: if random.one_in(80) { 1 } else { 0 },
        dnssec_ok: random.one_in(2),
        rest: if random.one_in(60) { 0x4000 >> random.below(15) } else { 0 },
        options: if random.one_in(5) { options(random) } else { Vec::new() },
    });
    Question { name, qtype, qclass, flags, edns, tcp: random.one_in(3) }
}

/// Options that nobody knows, and some that a forwarder must not pass on.
fn options(random: &mut Random) -> Vec<(u16, Vec<u8>)> {
    let one = |random: &mut Random| match random.below(6) {
        // Client subnet: 192.0.2.0/24 (RFC 7871).
        0 => (8, vec![0, 1, 24, 0, 192, 0, 2]),
        // A client cookie (RFC 7873).
        1 => (10, vec![1, 2, 3, 4, 5, 6, 7, 8]),
        // Padding (RFC 7830).
        2 => (12, vec![0; 40]),
        _ => {
            let data = (0..random.below(20)).map(|_| random.below(256) as u8).collect();
            (65_001 + random.below(500) as u16, data)
        }
    };
    (0..=random.below(2)).map(|_| one(random)).collect()
}
