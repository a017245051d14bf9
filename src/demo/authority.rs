//! A set of zones that answers questions, and its face towards hickory-server.
//!
//! It owns the walk from a question to an answer: the zone that is closest, aliases through all the
//! zones of this server, additional addresses, and what a UDP answer leaves out. It never recurses
//! and knows no socket; [`super::Embedded`] does.

use std::collections::HashMap;
use std::iter;

use hickory_proto::op::{
    Edns, Header, HeaderCounts, Metadata, OpCode, Query, ResponseCode, emit_message_parts,
};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::zone::Zone;

/// The most aliases one answer follows; a loop ends here.
const MAX_ALIASES: usize = 8;
/// Bytes of an OPT record without options (RFC 6891, 6.1.2).
const OPT_LEN: u16 = 11;
/// The least and the greatest UDP answer, whatever the client says it takes.
const UDP_SIZES: (u16, u16) = (512, 4096);

/// Zones that answer together. One of them is responsible for a name: the one with the longest apex.
#[derive(Debug)]
pub struct Authority {
    /// Longest apex first.
    zones: Vec<Zone>,
    /// What an alias that leaves the zones leads to, as if the server had asked elsewhere. Not
    /// reachable by a question of its own.
    elsewhere: HashMap<Name, Vec<Record>>,
}

/// What an [`Authority`] says to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// NOERROR with or without records, NXDOMAIN, SERVFAIL; REFUSED outside of the zones.
    pub code: ResponseCode,
    /// Aliases in the order in which they are followed, then the records asked for.
    pub answers: Vec<Record>,
    /// The SOA of a negative answer.
    pub soa: Option<Record>,
    /// Addresses of what SRV, MX and NS records point at.
    pub additionals: Vec<Record>,
}

impl Answer {
    fn code(code: ResponseCode) -> Answer {
        Answer { code, answers: Vec::new(), soa: None, additionals: Vec::new() }
    }
}

impl Authority {
    /// An authority for these zones.
    pub fn new(mut zones: Vec<Zone>) -> Authority {
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.apex().num_labels()));
        Authority { zones, elsewhere: HashMap::new() }
    }

    /// An alias that leads to `owner` is completed with this record.
    pub fn elsewhere(&mut self, owner: &Name, ttl: u32, data: RData) {
        self.elsewhere.entry(owner.clone()).or_default().push(Record::from_rdata(
            owner.clone(),
            ttl,
            data,
        ));
    }

    /// The answer to a question of class IN. Its records bear the name in the case it was asked in.
    pub fn answer(&self, name: &Name, kind: RecordType) -> Answer {
        let mut answer = Answer::code(ResponseCode::NoError);
        let mut owner = name.clone();
        for step in 0..=MAX_ALIASES {
            if let Some(records) = self.elsewhere.get(&owner).filter(|_| step > 0) {
                answer.answers.extend(matching(records, kind, &owner));
                return answer;
            }
            let Some(zone) = self.zone_of(&owner) else {
                // An alias that leaves the zones ends the answer; the asker follows it.
                return if step == 0 { Answer::code(ResponseCode::Refused) } else { answer };
            };
            let Some(records) = zone.find(&owner) else {
                // Also behind an alias: the code is about its target (RFC 2308, 2.1).
                answer.code = zone.unknown();
                answer.soa = zone.soa().filter(|_| answer.code == ResponseCode::NXDomain).cloned();
                return answer;
            };
            let wanted = matching(&records, kind, &owner);
            if !wanted.is_empty() {
                answer.additionals = self.addresses(&wanted);
                answer.answers.extend(wanted);
                return answer;
            }
            let alias = matching(&records, RecordType::CNAME, &owner).pop();
            let (Some(alias), true) = (alias, zone.follows(kind)) else {
                answer.soa = zone.soa().cloned();
                return answer;
            };
            if let RData::CNAME(target) = &alias.data {
                owner = target.0.clone();
            }
            answer.answers.push(alias);
        }
        answer
    }

    fn zone_of(&self, name: &Name) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.apex().zone_of(name))
    }

    /// Addresses that the asker will want next (RFC 2782, RFC 1035, 3.3.9 and 3.3.11).
    fn addresses(&self, records: &[Record]) -> Vec<Record> {
        let mut targets: Vec<&Name> = Vec::new();
        for record in records {
            let target = match &record.data {
                RData::SRV(srv) => &srv.target,
                RData::MX(mx) => &mx.exchange,
                RData::NS(ns) => &ns.0,
                _ => continue,
            };
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let mut addresses = Vec::new();
        for target in targets {
            let Some(found) = self.zone_of(target).and_then(|zone| zone.find(target)) else {
                continue;
            };
            addresses.extend(matching(&found, RecordType::A, target));
            addresses.extend(matching(&found, RecordType::AAAA, target));
        }
        addresses
    }

    /// What a request is answered with, and whether it was one for the zones at all.
    fn consider(&self, request: &Request) -> (Answer, bool) {
        let [query] = request.queries.queries() else {
            return (Answer::code(ResponseCode::FormErr), false);
        };
        let code = match (request.metadata.op_code, request.version()) {
            (OpCode::Query, 0) => match (query.query_class(), query.query_type()) {
                (DNSClass::IN, RecordType::AXFR | RecordType::IXFR) => ResponseCode::Refused,
                (DNSClass::IN, kind) => {
                    let answer = self.answer(query.original().name(), kind);
                    let ours = answer.code != ResponseCode::Refused;
                    return (answer, ours);
                }
                _ => ResponseCode::Refused,
            },
            (OpCode::Query, _) => ResponseCode::BADVERS,
            _ => ResponseCode::NotImp,
        };
        (Answer::code(code), false)
    }
}

/// The records of type `kind`, owned by `owner`.
fn matching(records: &[Record], kind: RecordType, owner: &Name) -> Vec<Record> {
    let wanted = |record: &&Record| kind == RecordType::ANY || record.record_type() == kind;
    let owned = |record: &Record| {
        let mut record = record.clone();
        record.name = owner.clone();
        record
    };
    records.iter().filter(wanted).map(owned).collect()
}

/// Cuts `answer` to what fits into `room` bytes; true if something had to go. Whole records are
/// left out from the end (RFC 2181, 9), so that there is always room for the OPT.
fn fit(query: &Query, answer: &mut Answer, room: u16) -> bool {
    let mut bytes = Vec::with_capacity(usize::from(UDP_SIZES.0));
    let mut encoder = BinEncoder::new(&mut bytes);
    encoder.set_max_size(room);
    let written = emit_message_parts(
        &Metadata::new(0, hickory_proto::op::MessageType::Response, OpCode::Query),
        &mut iter::once(query),
        &mut answer.answers.iter(),
        &mut answer.soa.iter(),
        &mut answer.additionals.iter(),
        None,
        None,
        &mut encoder,
    );
    // What cannot be encoded at all is left to hickory-server, which makes it a SERVFAIL.
    let Ok(header) = written else { return false };
    answer.answers.truncate(usize::from(header.counts.answers));
    answer.additionals.truncate(usize::from(header.counts.additionals));
    if header.counts.authorities == 0 {
        answer.soa = None;
    }
    header.metadata.truncation
}

/// Our OPT for a request that had one (RFC 6891, 6.1.1): the client's size and DO, no options.
fn opt(request: &Request) -> Option<Edns> {
    let asked = request.edns.as_ref()?;
    let mut edns = Edns::new();
    edns.set_max_payload(request.max_payload().clamp(UDP_SIZES.0, UDP_SIZES.1));
    edns.set_version(0);
    edns.set_dnssec_ok(asked.flags().dnssec_ok);
    Some(edns)
}

#[async_trait::async_trait]
impl RequestHandler for Authority {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut responder: R,
    ) -> ResponseInfo {
        let (mut answer, ours) = self.consider(request);
        let edns = opt(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = answer.code;
        metadata.authoritative = ours;
        if let (Protocol::Udp, [query]) = (request.protocol(), request.queries.queries()) {
            let room = edns.as_ref().map_or(UDP_SIZES.0, |edns| edns.max_payload() - OPT_LEN);
            metadata.truncation = fit(query.original(), &mut answer, room);
        }
        let response = MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(
            metadata,
            &answer.answers,
            [],
            &answer.soa,
            &answer.additionals,
        );
        // A client that is gone is the only failure; hickory-server's log has it.
        responder.send_response(response).await.unwrap_or_else(|_| {
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}
