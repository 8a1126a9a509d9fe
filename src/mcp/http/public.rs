//! The address that clients on other machines use.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::Uri;

use crate::error::{Error, Result};

/// Scheme, host and port of a server as the world reaches it, such as `https://tools.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
    host: String,
}

impl PublicUrl {
    /// The URL without a slash at its end, in lower case and without a default port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The name or address in it.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl FromStr for PublicUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |why: &str| {
            Error::usage(format!("`{text}` {why}"))
                .hint("It is `https://` and the name clients use, as in `--public-url https://tools.example.com`.")
        };
        let uri: Uri = text.parse().map_err(|_| refused("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(refused("is not a whole URL"));
        };
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(refused("has more than a name and a port"));
        }
        let host = bare_host(authority.host());
        let here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let default = match scheme {
            "https" => 443,
            "http" if here => 80,
            "http" => return Err(refused("would send credentials in the clear")),
            _ => return Err(refused("is not an `https` URL")),
        };
        let name = authority.host().to_ascii_lowercase();
        let origin = match authority.port_u16().filter(|port| *port != default) {
            Some(port) => format!("{scheme}://{name}:{port}"),
            None => format!("{scheme}://{name}"),
        };
        Ok(PublicUrl { origin, host })
    }
}

/// A host without the brackets of an IPv6 address, in lower case.
pub(super) fn bare_host(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_one_way() {
        for (given, origin) in [
            ("https://Tools.Example.com", "https://tools.example.com"),
            ("https://tools.example.com/", "https://tools.example.com"),
            ("https://tools.example.com:443", "https://tools.example.com"),
            (
                "https://tools.example.com:8443",
                "https://tools.example.com:8443",
            ),
            ("http://localhost:8000", "http://localhost:8000"),
            ("http://[::1]:80/", "http://[::1]"),
        ] {
            let url: PublicUrl = given.parse().unwrap();
            assert_eq!(url.origin(), origin, "{given}");
        }
    }

    #[test]
    fn what_clients_could_not_use_is_refused() {
        for given in [
            "tools.example.com",
            "http://tools.example.com",
            "https://tools.example.com/mcp",
            "https://tools.example.com/?a=b",
            "https://me@tools.example.com",
            "ftp://tools.example.com",
            "",
        ] {
            let error = given.parse::<PublicUrl>().unwrap_err();
            assert!(error.hint_text().is_some(), "{given}");
        }
    }
}
