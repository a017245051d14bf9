//! What the options of a client's OPT get, and who has asked too much.

use super::{Client, Desk, Step};
use crate::config::Over;
use crate::respond::{self, Ask, AskEdns, Bare};
use crate::telemetry::labels::{Family, Proto, ShedReason, Source};
use crate::telemetry::stats::NO_ROUTE;
use crate::time::Tick;
use crate::wire::edns::{Edns, Keepalive};
use crate::wire::header::{self, Rcode};
use crate::wire::query::Query;

impl Desk {
    /// What an answer must know of its question.
    #[inline]
    pub(super) fn ask_of<'q>(&self, query: &Query<'q>, client: Client) -> Ask<'q> {
        let mut ask = Ask::of(query, client.proto == Proto::Tcp);
        if let Some(edns) = &query.edns
            && edns.asks_much()
        {
            ask.edns = Some(self.ask_edns(edns, client));
        }
        ask
    }

    /// The client's options, with what only the server knows.
    #[inline(never)]
    pub(super) fn ask_edns(&self, edns: &Edns<'_>, client: Client) -> AskEdns {
        let mut ask = AskEdns::of(edns);
        if let Some(asked) = edns.cookie() {
            let now = self.server.clock.unix();
            ask.cookie = self.server.cookies.answer(asked, client.addr.ip(), now);
        }
        // Over UDP the option is to be ignored (RFC 7828, 3.3.1).
        if client.proto == Proto::Tcp && edns.keepalive == Keepalive::Asked {
            ask.keepalive = Some(self.server.keepalive);
        }
        ask
    }

    /// The same for a client that may not ask: it is not told this node's name, nor the idle time of
    /// others' connections.
    pub(super) fn ask_stranger(&self, edns: &Edns<'_>, client: Client) -> AskEdns {
        AskEdns { nsid: false, keepalive: None, ..self.ask_edns(edns, client) }
    }

    /// The answer to a query that has no question but a cookie (RFC 7873, 5.4): whether it is ours.
    pub(super) fn cookie_rcode(&self, edns: &Edns<'_>, client: Client) -> Rcode {
        let asked = edns.cookie().unwrap_or_default();
        let now = self.server.clock.unix();
        match asked.len() {
            8 => Rcode::NOERROR,
            _ if self.server.cookies.knows(asked, client.addr.ip(), now) => Rcode::NOERROR,
            _ => Rcode::BADCOOKIE,
        }
    }

    /// Whether this client has asked too much, of which this is a part. TCP is where such a client is
    /// sent to: its connections and their questions have ceilings instead.
    #[inline]
    pub(super) fn is_over_rate(&self, client: Client, now: Tick) -> bool {
        match &self.server.rate {
            Some(rate) if client.proto == Proto::Udp => !rate.admits(client.addr.ip(), now),
            _ => false,
        }
    }

    /// What a client over its rate gets. It costs neither a look into the cache nor an exchange.
    #[cold]
    pub(super) fn turn_away(
        &mut self,
        packet: &[u8],
        query: &Query<'_>,
        client: Client,
        out: &mut [u8],
    ) -> Step {
        self.stats.request(NO_ROUTE, client.proto, Family::of(&client.addr), query.qtype);
        self.stats.shed(ShedReason::Rate);
        if self.server.rate.as_ref().is_none_or(|rate| rate.over == Over::Drop) {
            return Step::Silent;
        }
        // Nothing that is not due: this goes to forged addresses too.
        let edns = query.edns.as_ref().map(|edns| self.ask_edns(edns, client));
        let edns = edns.map(|edns| AskEdns { nsid: false, ..edns });
        let echo = header::LEN + query.name.len() + 4;
        let answer = Bare { echo, rcode: Rcode::NOERROR, truncated: true, edns, note: None };
        let len = respond::bare(packet, answer, &[], out);
        self.count(NO_ROUTE, client, Rcode::NOERROR, Source::Refused, len);
        if len == 0 { Step::Silent } else { Step::Reply(len) }
    }
}
