//! What is not answered in the ordinary way: packets that are no queries, clients that may not ask.

use super::{Client, Desk, Line, Reply, Step};
use crate::answer::{Answer, Question};
use crate::config::Refuse;
use crate::respond::{self, Ask, Bare};
use crate::telemetry::labels::{DropReason, Family, Proto, ShedReason, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::wire::edns::{Ede, ede};
use crate::wire::header::{self, Rcode};
use crate::wire::query::{Fault, Query};

impl Desk {
    pub(super) fn fault(
        &mut self,
        packet: &[u8],
        fault: Fault<'_>,
        client: Client,
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        let (rcode, echo, edns, class) = match fault {
            Fault::Short => {
                self.stats.dropped(DropReason::Short);
                return Step::Silent;
            }
            Fault::Response => {
                self.stats.dropped(DropReason::Response);
                return Step::Silent;
            }
            Fault::Cookie(edns) => {
                (self.cookie_rcode(&edns, client), header::LEN, Some(edns), false)
            }
            Fault::Answer { rcode, echo, edns, class } => (rcode, echo, edns, class),
        };
        if client.addr.port() == 0 {
            self.stats.dropped(DropReason::Source);
            return Step::Silent;
        }
        self.stats.request(NO_ROUTE, client.proto, Family::of(&client.addr), 0);
        let allowed = self.acls.allow.contains(client.addr.ip());
        if !allowed && self.server.refuse == Refuse::Drop {
            self.stats.dropped(DropReason::Denied);
            return Step::Silent;
        }
        if self.is_over_rate(client, now) {
            self.stats.shed(ShedReason::Rate);
            return Step::Silent;
        }
        let rcode = if allowed { rcode } else { Rcode::REFUSED };
        let note = if !allowed {
            Some(stranger(client))
        } else if class {
            Some(Ede::new(ede::NOT_SUPPORTED, "classes IN and CH are served"))
        } else {
            None
        };
        let room = respond::room(edns.as_ref(), client.proto == Proto::Tcp);
        let room = usize::from(room).min(out.len());
        let edns = edns.map(|edns| match allowed {
            true => self.ask_edns(&edns, client),
            false => self.ask_stranger(&edns, client),
        });
        let answer = Bare { echo, rcode, truncated: false, edns, note: note.as_ref() };
        let len = respond::bare(packet, answer, self.server.node.as_bytes(), &mut out[..room]);
        let granted = rcode == Rcode::NOERROR;
        let source = if granted { Source::Local } else { Source::Refused };
        self.count(NO_ROUTE, client, rcode, source, len);
        if self.log.wants(rcode.0) {
            let took = self.server.clock.now().since(now);
            let line = Line { route: NO_ROUTE, rcode, source, size: len, took };
            self.log_query(&[0], 0, client, line);
        }
        if len == 0 { Step::Silent } else { Step::Reply(len) }
    }

    pub(super) fn refuse_stranger(
        &mut self,
        query: &Query<'_>,
        client: Client,
        now: Tick,
        out: &mut [u8],
    ) -> Step {
        self.stats.request(NO_ROUTE, client.proto, Family::of(&client.addr), query.qtype);
        if self.server.refuse == Refuse::Drop {
            self.stats.dropped(DropReason::Denied);
            return Step::Silent;
        }
        if self.is_over_rate(client, now) {
            self.stats.shed(ShedReason::Rate);
            return Step::Silent;
        }
        let mut ask = Ask::of(query, client.proto == Proto::Tcp);
        ask.edns = query.edns.as_ref().map(|edns| self.ask_stranger(edns, client));
        let question = Question { name: query.name, qtype: query.qtype, qclass: query.qclass };
        let answer = Answer::failure(question, Rcode::REFUSED, stranger(client));
        let reply = Reply { query, ask: &ask, client, route: NO_ROUTE, now };
        self.reply(reply, &answer, Source::Refused, out)
    }
}

fn stranger(client: Client) -> Ede {
    let ip = client.addr.ip().to_canonical();
    Ede::new(ede::PROHIBITED, format!("{ip} is not in [admit] allow"))
}
