//! `/cache/stats`, `/cache/dump` and `/cache/flush`.

use std::str::FromStr;
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;

use super::query::{Query, QueryError};
use crate::admin::cache::{CacheSource, Flushed};
use crate::admin::server::{Reply, reply, text};
use crate::cache::{Cursor, Filter, Scope};
use crate::wire::name::Name;

/// Entries of a page where the query does not say, and at most.
const PAGE: usize = 1000;
/// The longest page: with the longest names it is below what [`super::get`] takes.
pub const LONGEST_PAGE: usize = 5000;

pub(super) fn stats(source: &dyn CacheSource) -> Reply {
    json(&source.cache_stats())
}

/// Forgets what the query says; goes on to the end even if the client does not wait for that.
pub(super) async fn flush(source: &Arc<dyn CacheSource>, query: &str) -> Reply {
    let scope = match scope(query, &source.route_names()) {
        Ok(scope) => scope,
        Err(error) => return refuse(&error),
    };
    let source = Arc::clone(source);
    let flushing = tokio::task::spawn_blocking(move || {
        let entries = source.flush(&scope);
        tracing::info!(?scope, entries, "cache flushed");
        json(&Flushed { entries })
    });
    flushing.await.unwrap_or_else(|error| broken(&error))
}

/// A page of what the query says.
pub(super) async fn dump(source: &Arc<dyn CacheSource>, query: &str) -> Reply {
    let (from, filter, most) = match page(query, &source.route_names()) {
        Ok(page) => page,
        Err(error) => return refuse(&error),
    };
    let source = Arc::clone(source);
    let looking = tokio::task::spawn_blocking(move || json(&source.page(from, &filter, most)));
    looking.await.unwrap_or_else(|error| broken(&error))
}

fn scope(query: &str, routes: &[String]) -> Result<Scope, QueryError> {
    const KNOWN: [&str; 4] = ["name", "suffix", "route", "all"];
    let query = Query::parse(query, &KNOWN)?;
    if KNOWN.iter().filter(|name| query.has(name)).count() != 1 {
        return Err(QueryError::ExactlyOne(KNOWN.join(", ")));
    }
    if let Some(name) = query.parsed::<Name>("name")? {
        return Ok(Scope::Name(name));
    }
    if let Some(name) = query.parsed::<Name>("suffix")? {
        return Ok(Scope::Suffix(name));
    }
    Ok(route(&query, routes)?.map_or(Scope::All, Scope::Route))
}

fn page(query: &str, routes: &[String]) -> Result<(Cursor, Filter, usize), QueryError> {
    let query = Query::parse(query, &["suffix", "route", "limit", "from"])?;
    let filter = Filter { suffix: query.parsed("suffix")?, route: route(&query, routes)? };
    let most = query.parsed::<Limit>("limit")?.map_or(PAGE, |limit| limit.0).min(LONGEST_PAGE);
    Ok((query.parsed("from")?.unwrap_or_default(), filter, most))
}

/// How many entries somebody wants at the most: one at least.
struct Limit(usize);

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Limit, &'static str> {
        let limit = text.parse().ok().filter(|limit| *limit > 0);
        limit.map(Limit).ok_or("is no number from 1 on")
    }
}

/// The index of the route that a query names.
fn route(query: &Query, routes: &[String]) -> Result<Option<u16>, QueryError> {
    let Some(name) = query.value("route") else { return Ok(None) };
    match routes.iter().position(|route| route == name) {
        Some(index) => Ok(Some(index as u16)),
        None => Err(QueryError::NoRoute(name.to_owned(), routes.join(", "))),
    }
}

fn json(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(json) => reply(StatusCode::OK, "application/json", json),
        Err(error) => broken(&error),
    }
}

fn refuse(error: &QueryError) -> Reply {
    text(StatusCode::BAD_REQUEST, format!("{error}\n"))
}

fn broken(error: &dyn std::error::Error) -> Reply {
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn routes() -> Vec<String> {
        ["cluster", "internet"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_flush_needs_exactly_one_scope() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        for (query, expected) in [
            ("name=WWW.example.com", Scope::Name(name("www.example.com"))),
            ("suffix=.", Scope::Suffix(name("."))),
            ("route=internet", Scope::Route(1)),
            ("all", Scope::All),
        ] {
            assert_eq!(scope(query, &routes()), Ok(expected), "{query}");
        }
        for (query, told) in [
            ("", "exactly one is needed of name, suffix, route, all"),
            ("all&name=a", "exactly one is needed of name, suffix, route, all"),
            ("name=a..b", "name=\"a..b\" has an empty label"),
            ("suffix=", "suffix=\"\" is empty (the root is written \".\")"),
            ("route=tailnet", "there is no route \"tailnet\": there are cluster, internet"),
            ("limit=5", "there is no parameter \"limit\": there are name, suffix, route, all"),
        ] {
            assert_eq!(scope(query, &routes()).unwrap_err().to_string(), told, "{query}");
        }
    }

    #[test]
    fn a_page_is_bounded() {
        let filter = Filter::default();
        assert_eq!(page("", &routes()), Ok((Cursor::default(), filter.clone(), PAGE)));
        let (_, _, most) = page("limit=1000000000", &routes()).unwrap();
        assert_eq!(most, LONGEST_PAGE);
        let (from, filter, most) =
            page("from=3.ff&suffix=Example&route=cluster&limit=7", &routes()).unwrap();
        assert_eq!((from.to_string().as_str(), most), ("3.ff", 7));
        assert_eq!((filter.suffix, filter.route), ("example".parse().ok(), Some(0)));
        let zero = page("limit=0", &routes()).unwrap_err().to_string();
        assert_eq!(zero, "limit=\"0\" is no number from 1 on");
        for query in ["limit=-1", "limit=x", "from=x", "suffix=..", "route=x", "all"] {
            assert!(page(query, &routes()).is_err(), "{query}");
        }
    }
}
