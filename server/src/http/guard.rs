//! Who may ask: requests must name this server, and what changes something must come from its own pages.
//!
//! A page elsewhere can send a browser's requests to a server on the same machine (forged requests), and can make its own name
//! point here (DNS rebinding). Both show: in `Host`, and in `Origin` or `Sec-Fetch-Site`.

use super::{To, refusal};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, uri::Authority},
    middleware::Next,
    response::Response,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The names under which this server may be asked.
#[derive(Clone, Debug)]
pub struct Names {
    /// `host:port`, lower case.
    allowed: Vec<String>,
    /// Reachable from elsewhere: any address in numbers will do, since a rebound name is a name.
    any_address: Option<u16>,
    /// `host[:port]` of the public URL: a proxy may rewrite `Host`, and cannot rewrite `Origin`.
    public: Option<String>,
}

/// Why a request is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// `Host` is missing or names another server.
    Misdirected,
    /// A page of another origin, or one that hides its origin, asks for a change.
    CrossOrigin,
}

impl Names {
    /// `listening`: the address and the port in use. `public_url`: a checked one ([`public_authority`]). `host`: what this machine calls
    /// itself, by which others on its network may know it.
    pub fn new(listening: SocketAddr, public_url: Option<&str>, host: Option<&str>) -> Names {
        let port = listening.port();
        let mut allowed: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}")).into();
        if let Some(host) = host.filter(|_| !listening.ip().is_loopback()).map(str::to_ascii_lowercase) {
            allowed.extend([format!("{host}:{port}"), format!("{host}.local:{port}")]);
        }
        allowed.push(listening.to_string());
        let public = public_url.and_then(public_authority);
        allowed.extend(public.clone());
        // A client leaves out the port that its scheme stands for.
        let bare: Vec<String> = allowed
            .iter()
            .filter_map(|name| name.strip_suffix(":80").or(name.strip_suffix(":443")))
            .map(str::to_owned)
            .collect();
        allowed.extend(bare);
        Names { allowed, any_address: (!listening.ip().is_loopback()).then_some(port), public }
    }

    fn allow(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.allowed.contains(&authority) || self.any_address.is_some_and(|port| is_address(&authority, port))
    }

    /// Decides about a request.
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Unwelcome> {
        let host =
            one(headers, header::HOST).or(uri.authority().map(Authority::as_str)).ok_or(Unwelcome::Misdirected)?;
        if !self.allow(host) {
            return Err(Unwelcome::Misdirected);
        }
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return Ok(());
        }
        let same_site = headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none");
        let same_origin = match (headers.contains_key(header::ORIGIN), one(headers, header::ORIGIN)) {
            // Browsers send an origin with every change. What sends none is a program, and the API is for programs.
            (false, _) => headers.contains_key("sec-fetch-site") || uri.path().starts_with("/api/v1/"),
            (true, None) => false,
            (true, Some(origin)) => origin_authority(origin).is_some_and(|origin| {
                let origin = origin.to_ascii_lowercase();
                origin == host.to_ascii_lowercase() || self.public.as_ref() == Some(&origin)
            }),
        };
        if same_site && same_origin { Ok(()) } else { Err(Unwelcome::CrossOrigin) }
    }
}

/// A header that stands there once, as text.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// `host:port` of an origin such as `http://127.0.0.1:3000`; `null` and everything else has none.
fn origin_authority(origin: &str) -> Option<&str> {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
    (!authority.is_empty() && !authority.contains(['/', '@', '?', '#'])).then_some(authority)
}

/// `host[:port]` of a public URL without path, user or query.
pub fn public_authority(url: &str) -> Option<String> {
    origin_authority(url.strip_suffix('/').unwrap_or(url))
        .filter(|authority| authority.parse::<Authority>().is_ok())
        .map(str::to_ascii_lowercase)
}

fn is_address(authority: &str, port: u16) -> bool {
    let address = |text: &str| text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    match authority.parse::<SocketAddr>() {
        Ok(address) => address.port() == port,
        Err(_) => port == 80 && address(authority),
    }
}

/// The middleware: refuses, or passes on.
pub async fn guard(State(names): State<Arc<Names>>, request: Request, next: Next) -> Response {
    match names.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(Unwelcome::Misdirected) => refusal(
            To::of_path(request.uri().path()),
            StatusCode::MISDIRECTED_REQUEST,
            "This is not the server you asked for",
            "The request names another host. Use the address that Stillroom printed when it started; if this server has a name, \
             start it with --public-url.",
        ),
        Err(Unwelcome::CrossOrigin) => refusal(
            To::of_path(request.uri().path()),
            StatusCode::FORBIDDEN,
            "Only this server's own pages may change something",
            "The request came from another page, or from one that hides where it came from.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &Names, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<(), Unwelcome> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().expect("a header's name");
            map.append(name, value.parse().expect("a header's value"));
        }
        names.check(&method, &path.parse().expect("a path"), &map)
    }

    #[test]
    fn only_the_names_of_this_server_are_answered() {
        let names = Names::new(
            "127.0.0.1:3000".parse().expect("an address"),
            Some("https://lab.example.org"),
            Some("workbench"),
        );
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST:3000", "[::1]:3000", "lab.example.org"] {
            assert_eq!(check(&names, Method::GET, "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1",
            "127.0.0.1:3001",
            "localhost",
            "lab.example.org.evil.example",
            "192.168.1.2:3000",
            "workbench:3000",
            "",
        ] {
            assert_eq!(check(&names, Method::GET, "/", &[("host", host)]), Err(Unwelcome::Misdirected), "{host}");
        }
        assert_eq!(check(&names, Method::GET, "/", &[]), Err(Unwelcome::Misdirected));
        let twice = [("host", "127.0.0.1:3000"), ("host", "evil.example")];
        assert_eq!(check(&names, Method::GET, "/", &twice), Err(Unwelcome::Misdirected));
    }

    #[test]
    fn a_server_for_others_is_reached_by_number_and_by_its_machines_name_but_not_by_a_strange_one() {
        let names = Names::new("0.0.0.0:3000".parse().expect("an address"), None, Some("Workbench"));
        for host in ["192.168.1.2:3000", "[fe80::1]:3000", "localhost:3000", "workbench:3000", "workbench.local:3000"] {
            assert_eq!(check(&names, Method::GET, "/", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.example:3000", "192.168.1.2:3001", "192.168.1.2"] {
            assert_eq!(check(&names, Method::GET, "/", &[("host", host)]), Err(Unwelcome::Misdirected), "{host}");
        }
    }

    #[test]
    fn changes_come_from_the_servers_own_pages_or_from_programs() {
        let names = Names::new(
            "127.0.0.1:3000".parse().expect("an address"),
            Some("https://lab.example.org"),
            Some("workbench"),
        );
        let host = ("host", "127.0.0.1:3000");
        let allowed: [&[(&str, &str)]; 4] = [
            &[host, ("origin", "http://127.0.0.1:3000")],
            &[host, ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "same-origin")],
            &[("host", "lab.example.org"), ("origin", "https://lab.example.org")],
        ];
        for headers in allowed {
            assert_eq!(check(&names, Method::POST, "/api/create", headers), Ok(()), "{headers:?}");
        }
        let refused: [&[(&str, &str)]; 8] = [
            &[host],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "http://localhost:3000")],
            &[host, ("origin", "http://127.0.0.1:3001")],
            &[host, ("origin", "http://127.0.0.1:3000/")],
            &[host, ("origin", "http://127.0.0.1:3000"), ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
        ];
        for headers in refused {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                let checked = check(&names, method, "/api/create", headers);
                assert_eq!(checked, Err(Unwelcome::CrossOrigin), "{headers:?}");
            }
        }
        assert_eq!(check(&names, Method::DELETE, "/api/v1/studies/1", &[host]), Ok(()));
        let forged = [host, ("origin", "https://evil.example")];
        assert_eq!(check(&names, Method::DELETE, "/api/v1/studies/1", &forged), Err(Unwelcome::CrossOrigin));
        assert_eq!(check(&names, Method::GET, "/", &forged), Ok(()));
    }

    #[test]
    fn a_public_url_is_scheme_and_host_alone() {
        assert_eq!(public_authority("https://Lab.example.org/"), Some("lab.example.org".into()));
        assert_eq!(public_authority("http://lab:8080"), Some("lab:8080".into()));
        for wrong in ["lab.example.org", "ftp://lab", "https://", "https://lab/path", "https://user@lab", "https://a b"]
        {
            assert_eq!(public_authority(wrong), None, "{wrong}");
        }
    }
}
