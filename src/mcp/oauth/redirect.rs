//! Where an answer may be sent: rules for redirect URIs.

use reqwest::Url;

use super::site::is_loopback;

/// The longest that is taken.
const LONGEST: usize = 2_000;

/// A redirect URI that a client may have: `https`, or this machine over `http`.
pub fn parse(text: &str) -> Option<Url> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.len() > LONGEST || text.contains(odd) || text.contains('#') {
        return None;
    }
    let url: Url = text.parse().ok()?;
    if !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Some(url),
        ("http", Some(host)) if is_loopback(host) => Some(url),
        _ => None,
    }
}

/// Whether it leads to a program on the owner's own machine.
pub fn is_local(url: &Url) -> bool {
    url.scheme() == "http" && url.host_str().is_some_and(is_loopback)
}

/// Whether what a client asks for is what it registered: letter by letter, but for the port of a
/// program on the own machine, which takes whichever is free.
pub fn fits(registered: &str, asked: &str) -> bool {
    let (Some(known), Some(url)) = (parse(registered), parse(asked)) else {
        return false;
    };
    if !is_local(&known) || !is_local(&url) {
        return registered == asked;
    }
    known.host_str() == url.host_str() && known.path() == url.path() && known.query() == url.query()
}

/// The address with an answer in its query.
pub fn with(url: &Url, answer: &[(&str, &str)]) -> String {
    let mut url = url.clone();
    url.query_pairs_mut().extend_pairs(answer);
    url.into()
}

/// What a page must allow, lest Chromium holds the answer to a form back: it checks every address that
/// the form is led on to, and those that the client leads it on to are not known.
pub fn form_action(url: &Url) -> String {
    let origin = url.origin().ascii_serialization();
    match url.host_str() {
        // Policies have no way to write an IPv6 address.
        Some(host) if is_local(url) && host.starts_with('[') => "'self' http: https:".to_owned(),
        _ if is_local(url) => format!("'self' {origin} https:"),
        Some("vscode.dev" | "insiders.vscode.dev") => {
            "'self' https: vscode: vscode-insiders:".to_owned()
        }
        _ => "'self' https:".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_of_a_local_program_is_its_own_business() {
        for (registered, asked) in [
            (
                "http://localhost/callback",
                "http://localhost:3118/callback",
            ),
            (
                "http://127.0.0.1/callback",
                "http://127.0.0.1:3118/callback",
            ),
            ("http://[::1]/callback", "http://[::1]:3118/callback"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:5000/"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:5000"),
            (
                "https://claude.ai/api/mcp/auth_callback",
                "https://claude.ai/api/mcp/auth_callback",
            ),
        ] {
            assert!(fits(registered, asked), "{registered} {asked}");
        }
    }

    #[test]
    fn anything_else_has_to_be_the_same() {
        for (registered, asked) in [
            ("http://localhost/callback", "http://127.0.0.1:1/callback"),
            ("http://localhost/callback", "http://localhost:1/callback/"),
            (
                "http://localhost/callback",
                "http://localhost:1/callback?x=1",
            ),
            ("http://localhost/callback", "http://localhost:1/callback#x"),
            ("http://localhost/callback", "https://localhost:1/callback"),
            (
                "http://localhost/callback",
                "http://localhost.evil.example/callback",
            ),
            (
                "http://localhost/callback",
                "http://localhost:1@evil.example/callback",
            ),
            (
                "http://localhost/callback",
                "http://localhost\\@evil.example/callback",
            ),
            ("https://a.example/cb", "https://a.example:8443/cb"),
            ("https://a.example/cb", "https://a.example/cb/"),
            ("https://a.example/cb", "https://a.example/cb?x"),
            ("https://a.example/cb", "https://A.example/cb"),
            ("https://a.example/cb", "https://a.example/x/../cb"),
            ("https://a.example/cb", "https://a.example.evil.example/cb"),
            ("https://a.example/cb", "//a.example/cb"),
            ("https://a.example/cb", " https://a.example/cb"),
        ] {
            assert!(!fits(registered, asked), "{registered} {asked}");
        }
    }

    #[test]
    fn only_safe_ones_are_registered() {
        for wrong in [
            "http://a.example/cb",
            "cursor://callback",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://me@a.example/cb",
            "https://a.example/cb#x",
            "https://",
            "http://127.0.0.2/cb",
            "http://localhost.example/cb",
            "/cb",
            "",
        ] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
        assert!(parse(&format!("https://a.example/{}", "x".repeat(2_000))).is_none());
    }

    #[test]
    fn an_answer_goes_behind_what_is_there() {
        let url = parse("https://a.example/cb?x=1").unwrap();
        assert_eq!(
            with(&url, &[("code", "a b"), ("state", "ü&")]),
            "https://a.example/cb?x=1&code=a+b&state=%C3%BC%26"
        );
    }
}
