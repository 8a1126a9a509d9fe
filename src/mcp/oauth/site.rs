//! Where this server is, as clients see it: the issuer of tokens and the resource they are for.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use reqwest::Url;

use crate::mcp::http::PublicUrl;

/// Where the tools are, below an origin; `/sse` is the same server for clients of 2024.
pub const RESOURCES: [&str; 2] = ["/mcp", "/sse"];

/// Whether a host, as a URL has it, is this machine.
pub fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// How clients reach a server.
#[derive(Debug, Clone)]
pub struct Site {
    public: Option<PublicUrl>,
    names: Vec<String>,
    address: SocketAddr,
}

impl Site {
    /// The public address if there is one; else the address it listens on, by any of these names.
    pub fn new(public: Option<PublicUrl>, names: &[String], address: SocketAddr) -> Self {
        let mut all: Vec<String> = ["127.0.0.1", "localhost", "[::1]"]
            .map(str::to_owned)
            .into();
        for name in names {
            match name.parse() {
                Ok(std::net::Ipv6Addr { .. }) => all.push(format!("[{name}]")),
                Err(_) => all.push(name.to_lowercase()),
            }
        }
        let ip = address.ip();
        if !ip.is_unspecified() && !ip.is_loopback() {
            let shown = SocketAddr::new(ip, 0).to_string();
            all.insert(0, shown.trim_end_matches(":0").to_owned());
        }
        Site {
            public,
            names: all,
            address,
        }
    }

    fn origins(&self) -> Vec<String> {
        match &self.public {
            Some(public) => vec![public.origin().to_owned()],
            None => self
                .names
                .iter()
                .filter_map(|name| canonical(&format!("http://{name}:{}", self.address.port())))
                .collect(),
        }
    }

    /// Who issues tokens, to whoever sent these headers: without a public address a client knows us by
    /// the name it used.
    pub fn issuer(&self, headers: &HeaderMap) -> String {
        let mut origins = self.origins();
        let asked = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .and_then(|host| canonical(&format!("http://{host}")));
        match asked {
            Some(asked) if origins.contains(&asked) => asked,
            _ => origins.swap_remove(0),
        }
    }

    /// The resource that tokens are for, as `issuer` has it.
    pub fn resource(issuer: &str) -> String {
        format!("{issuer}{}", RESOURCES[0])
    }

    /// Every spelling of the resources that are ours.
    pub fn audiences(&self) -> Vec<String> {
        let origins = self.origins();
        let of = |origin: &String| RESOURCES.map(|path| format!("{origin}{path}"));
        origins.iter().flat_map(of).collect()
    }

    /// The resource in our spelling, if it is ours.
    pub fn own(&self, resource: &str) -> Option<String> {
        canonical(resource).filter(|resource| self.audiences().contains(resource))
    }

    /// Whether browsers come over TLS.
    pub fn is_secure(&self) -> bool {
        self.public
            .as_ref()
            .is_some_and(|public| public.origin().starts_with("https:"))
    }
}

/// The one spelling of a resource: lower case, no default port, no slash at the end.
fn canonical(text: &str) -> Option<String> {
    let url: Url = text.parse().ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let path = url.path().trim_end_matches('/');
    plain.then(|| format!("{}{path}", url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str) -> HeaderMap {
        [(header::HOST, host.parse().unwrap())]
            .into_iter()
            .collect()
    }

    #[test]
    fn a_public_address_is_the_only_one() {
        let public = "https://Tools.Example.com:443/".parse().unwrap();
        let site = Site::new(Some(public), &[], "127.0.0.1:8000".parse().unwrap());
        assert_eq!(
            site.issuer(&headers("localhost:8000")),
            "https://tools.example.com"
        );
        for ours in [
            "https://tools.example.com/mcp",
            "HTTPS://TOOLS.example.com:443/mcp/",
            "https://tools.example.com/sse",
        ] {
            assert!(site.own(ours).is_some(), "{ours}");
        }
        for other in [
            "https://tools.example.com",
            "https://tools.example.com/mcp/x",
            "https://tools.example.com/mcp#x",
            "https://tools.example.com/mcp?x",
            "https://tools.example.com:8443/mcp",
            "http://tools.example.com/mcp",
            "http://localhost:8000/mcp",
            "https://evil.example/mcp",
            "https://tools.example.com@evil.example/mcp",
            "mcp",
            "",
        ] {
            assert_eq!(site.own(other), None, "{other}");
        }
    }

    #[test]
    fn without_one_a_client_knows_us_by_the_name_it_used() {
        let site = Site::new(
            None,
            &["tools.lan".to_owned()],
            "0.0.0.0:8000".parse().unwrap(),
        );
        assert_eq!(
            site.issuer(&headers("localhost:8000")),
            "http://localhost:8000"
        );
        assert_eq!(
            site.issuer(&headers("Tools.lan:8000")),
            "http://tools.lan:8000"
        );
        assert_eq!(site.issuer(&headers("[::1]:8000")), "http://[::1]:8000");
        for stranger in ["evil.example:8000", "localhost:9000", "evil/localhost:8000"] {
            assert_eq!(site.issuer(&headers(stranger)), "http://127.0.0.1:8000");
        }
        assert!(site.own("http://localhost:8000/mcp").is_some());
        assert_eq!(site.own("http://localhost:8001/mcp"), None);
    }
}
