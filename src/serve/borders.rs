//! The borders between the horizons, as the table of routes and the configuration draw them (horizon
//! rule 5): which aliases may lead from one route into another.

use super::Server;
use crate::accept::{Crossing, Horizons};
use crate::wire::edns::{Ede, ede};

impl Horizons for Server {
    fn owns(&self, route: u16, name: &[u8]) -> bool {
        self.table.load().find(name).is_some_and(|owner| owner.route == route)
    }

    /// What a private route says is followed wherever it leads: it is trusted, and its own names are not
    /// told to anybody by that. What a public one says is not followed into a private horizon, unless
    /// the configuration allows it: a stranger could else give names of his own to what is inside, and
    /// learn from the answer what there is.
    fn crossing(&self, route: u16, target: &[u8]) -> Crossing {
        let from = self.policies.get(usize::from(route));
        let name = from.map_or("", |policy| &policy.name);
        let Some(owner) = self.table.load().find(target) else {
            let text = format!("route {name}: an alias leads to a name that no route owns");
            return Crossing::Bar(Ede::new(ede::NOT_AUTHORITATIVE, text));
        };
        if owner.route == route {
            return Crossing::Inside;
        }
        let to = self.policies.get(usize::from(owner.route));
        let open = from.is_some_and(|from| from.private || from.follow_private);
        match to.filter(|to| to.private && !open) {
            Some(to) => {
                let text = format!(
                    "route {name}: an alias into the private route {} is not followed",
                    to.name
                );
                Crossing::Bar(Ede::new(ede::FILTERED, text))
            }
            None => Crossing::Follow,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::config::file;
    use crate::time::Clock;
    use crate::wire::name::Name;

    fn server(root: &str) -> Server {
        let route = |name: &str, more: &str| {
            format!("[[route]]\nname = \"{name}\"\nupstreams = [\"10.0.0.1\"]\n{more}\n")
        };
        let text = [
            route("cluster", "suffixes = [\"cluster.local\"]\nreverse = [\"10.96.0.0/12\"]"),
            route("tailnet", "suffixes = [\"c.binrc.com\"]"),
            route("public", "suffixes = [\"example.com\"]\nprivate = false"),
            route("open", "suffixes = [\"example.org\"]\nprivate = false\nfollow_private = true"),
            root.to_owned(),
        ];
        let config = file::parse(&text.concat(), Path::new("t.toml")).unwrap().config;
        Server::new(&config, "here".into(), Vec::new(), Vec::new(), Clock::manual())
    }

    fn crossing(server: &Server, route: u16, target: &str) -> String {
        let target: Name = target.parse().unwrap();
        let crossing = server.crossing(route, target.as_wire());
        assert_eq!(crossing == Crossing::Inside, server.owns(route, target.as_wire()));
        match crossing {
            Crossing::Inside => "inside".into(),
            Crossing::Follow => "follow".into(),
            Crossing::Bar(ede) => format!("{} {}", ede.code, ede.text),
        }
    }

    const ROOT: &str =
        "[[route]]\nname = \"internet\"\nsuffixes = [\".\"]\nupstreams = [\"10.0.0.1\"]\n";

    #[test]
    fn who_may_lead_where() {
        let server = server(ROOT);
        let barred = |from: &str, to: &str| {
            format!("17 route {from}: an alias into the private route {to} is not followed")
        };
        let (inside, follow) = (String::from("inside"), String::from("follow"));
        for (route, target, expected) in [
            (0, "a.cluster.local", &inside),
            (0, "1.0.96.10.in-addr.arpa", &inside),
            (0, "nas.c.binrc.com", &follow),
            (0, "www.example.net", &follow),
            (1, "a.cluster.local", &follow),
            (2, "www.example.com", &inside),
            (2, "www.example.org", &follow),
            (2, "www.example.net", &follow),
            (2, "a.cluster.local", &barred("public", "cluster")),
            (3, "a.cluster.local", &follow),
            (3, "www.example.com", &follow),
            (4, "xcluster.local", &inside),
            (4, "c.binrc.com", &barred("internet", "tailnet")),
            (4, "1.0.96.10.in-addr.arpa", &barred("internet", "cluster")),
            (4, "example.com", &follow),
        ] {
            assert_eq!(crossing(&server, route, target), *expected, "{route} to {target}");
        }
    }

    #[test]
    fn names_that_no_route_owns_are_barred() {
        let server = server("");
        assert_eq!(
            crossing(&server, 0, "www.example.net"),
            "20 route cluster: an alias leads to a name that no route owns"
        );
    }
}
