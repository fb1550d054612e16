//! Who may ask the server: a token, the host that the client means, and the page that a browser asks from. Does not know
//! what is asked.

use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use form_urlencoded::parse;
use std::net::SocketAddr;

/// The least characters of a token.
pub const SHORTEST_TOKEN: usize = 16;

/// What a request must have.
pub struct AccessRules {
    /// Hashes are compared, which takes the same time wherever they differ.
    token: blake3::Hash,
    /// The name of the cookie; browsers send cookies to all ports of a host.
    cookie: String,
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Whether browsers reach it by HTTPS.
    secure: bool,
}

/// The result of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// By the link with the token: the client gets a cookie and is sent to the same page without the token.
    ByLink,
    Refused(StatusCode, &'static str),
}

impl AccessRules {
    /// The rules of a server at this address; `public` is the origin of the proxy before it, such as
    /// `https://flows.example.org`.
    pub fn new(token: &str, address: SocketAddr, public: Option<&str>) -> AccessRules {
        let port = address.port();
        let mut hosts =
            vec![format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
        hosts.push(address.to_string());
        let mut origins: Vec<String> = hosts.iter().map(|host| format!("http://{host}")).collect();
        if let Some(public) = public {
            hosts.extend(public.split_once("://").map(|(_, host)| host.to_owned()));
            origins.push(public.to_owned());
        }
        AccessRules {
            token: blake3::hash(token.as_bytes()),
            cookie: format!("orderflow-{port}"),
            hosts,
            origins,
            secure: public.is_some_and(|public| public.starts_with("https:")),
        }
    }

    /// Checks a request before anything else of it is looked at.
    pub fn check(&self, request: &Request) -> Admission {
        let headers = request.headers();
        if !self.is_host(request) {
            // A page of another name that leads to this machine, or a wrong proxy.
            return Admission::Refused(
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not have this name",
            );
        }
        let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
        if origin.is_some_and(|origin| !self.origins.iter().any(|own| own == origin)) {
            return Admission::Refused(StatusCode::FORBIDDEN, "requests of other pages are refused");
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(token) = bearer(headers) {
            return match self.is_token(token) {
                true => Admission::Admitted,
                false => Admission::Refused(StatusCode::UNAUTHORIZED, "the token is wrong"),
            };
        }
        if cookies(headers).any(|(name, value)| name == self.cookie && self.is_token(value)) {
            // A browser sends the cookie by itself: what changes something must come from a page of this server.
            return match reads || origin.is_some() {
                true => Admission::Admitted,
                false => Admission::Refused(StatusCode::FORBIDDEN, "the request has a cookie and no origin"),
            };
        }
        let query = request.uri().query().unwrap_or_default();
        if reads && parse(query.as_bytes()).any(|(name, value)| name == "token" && self.is_token(&value)) {
            return Admission::ByLink;
        }
        Admission::Refused(
            StatusCode::UNAUTHORIZED,
            "this server needs its token: Authorization: Bearer TOKEN",
        )
    }

    fn is_token(&self, given: &str) -> bool {
        blake3::hash(given.as_bytes()) == self.token
    }

    /// Whether the request is for this server by its name, not by that of a page which leads a browser here.
    fn is_host(&self, request: &Request) -> bool {
        let mut hosts = request.headers().get_all(HOST).iter();
        let (host, more) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next());
        let host = request.uri().authority().map_or(host, |authority| Some(authority.as_str()));
        more.is_none() && host.is_some_and(|host| self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)))
    }

    /// The cookie for a client that has the token.
    pub fn set_cookie(&self, request: &Request) -> Option<String> {
        let query = request.uri().query().unwrap_or_default();
        let token = parse(query.as_bytes()).find(|(name, value)| name == "token" && self.is_token(value))?.1;
        let secure = if self.secure { "; Secure" } else { "" };
        Some(format!("{}={token}; Path=/; HttpOnly; SameSite=Strict{secure}", self.cookie))
    }
}

/// Whether a text can be a token: in a header, a link and a cookie without quotes.
pub fn is_token(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
    text.len() >= SHORTEST_TOKEN && text.len() <= 512 && text.chars().all(plain)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|one| one.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    const TOKEN: &str = "0123456789abcdef";

    fn check(method: &str, uri: &str, headers: &[(&str, &str)]) -> Admission {
        let address = "127.0.0.1:8080".parse().unwrap();
        let rules = AccessRules::new(TOKEN, address, Some("https://flows.example.org"));
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        rules.check(&request.body(Body::empty()).unwrap())
    }

    fn status(admission: Admission) -> u16 {
        match admission {
            Admission::Admitted => 200,
            Admission::ByLink => 303,
            Admission::Refused(status, _) => status.as_u16(),
        }
    }

    #[test]
    fn only_own_names_are_answered() {
        let key = ("authorization", "Bearer 0123456789abcdef");
        for (host, expected) in [
            ("127.0.0.1:8080", 200),
            ("localhost:8080", 200),
            ("LOCALHOST:8080", 200),
            ("[::1]:8080", 200),
            ("flows.example.org", 200),
            ("localhost", 421),
            ("localhost:8081", 421),
            ("evil.example.org:8080", 421),
            ("127.0.0.1.evil.example.org:8080", 421),
            ("", 421),
        ] {
            assert_eq!(status(check("GET", "/", &[("host", host), key])), expected, "{host}");
        }
        assert_eq!(status(check("GET", "/", &[key])), 421);
        let twice = [("host", "localhost:8080"), ("host", "localhost:8080"), key];
        assert_eq!(status(check("GET", "/", &twice)), 421);
        let absolute = "http://evil.example.org/api/runs";
        assert_eq!(status(check("GET", absolute, &[("host", "localhost:8080"), key])), 421);
    }

    #[test]
    fn everything_needs_the_token() {
        let host = ("host", "localhost:8080");
        for (headers, expected) in [
            (vec![], 401),
            (vec![("authorization", "Bearer 0123456789abcdef")], 200),
            (vec![("authorization", "bearer 0123456789abcdef")], 200),
            (vec![("authorization", "Bearer 0123456789abcdeF")], 401),
            (vec![("authorization", "Bearer 0123456789abcdef0")], 401),
            (vec![("authorization", "Bearer")], 401),
            (vec![("authorization", "Basic 0123456789abcdef")], 401),
            (vec![("cookie", "a=b; orderflow-8080=0123456789abcdef")], 200),
            (vec![("cookie", "orderflow-8081=0123456789abcdef")], 401),
            (vec![("cookie", "orderflow-8080=0123456789abcde")], 401),
            // A wrong header is not made up for by a cookie.
            (vec![("authorization", "Bearer x"), ("cookie", "orderflow-8080=0123456789abcdef")], 401),
        ] {
            let headers: Vec<_> = headers.into_iter().chain([host]).collect();
            assert_eq!(status(check("GET", "/api/runs", &headers)), expected, "{headers:?}");
        }
        assert_eq!(status(check("GET", "/?token=0123456789abcdef", &[host])), 303);
        assert_eq!(status(check("GET", "/?token=0123456789abcdeg", &[host])), 401);
        assert_eq!(status(check("POST", "/?token=0123456789abcdef", &[host])), 401);
    }

    #[test]
    fn what_changes_something_comes_from_a_page_of_the_server() {
        let host = ("host", "localhost:8080");
        let cookie = ("cookie", "orderflow-8080=0123456789abcdef");
        let key = ("authorization", "Bearer 0123456789abcdef");
        for (method, origin, expected) in [
            ("POST", None, 403),
            ("POST", Some("http://localhost:8080"), 200),
            ("POST", Some("https://flows.example.org"), 200),
            ("POST", Some("http://localhost:8081"), 403),
            ("POST", Some("https://localhost:8080"), 403),
            ("POST", Some("null"), 403),
            ("POST", Some("http://flows.example.org"), 403),
            ("GET", None, 200),
            ("GET", Some("http://evil.example.org"), 403),
        ] {
            let mut headers = vec![host, cookie];
            headers.extend(origin.map(|origin| ("origin", origin)));
            assert_eq!(status(check(method, "/api/runs", &headers)), expected, "{method} {origin:?}");
        }
        assert_eq!(status(check("POST", "/api/runs", &[host, key])), 200);
        let elsewhere = ("origin", "http://evil.example.org");
        assert_eq!(status(check("POST", "/api/runs", &[host, key, elsewhere])), 403);
    }
}
