//! Where a request came from, for limits by address and for whoever asks a person about a client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::FORWARDED;
use axum::middleware::Next;
use axum::response::Response;

/// The address of the client: of the connection, or of what a trusted proxy says it forwards.
///
/// It is among the extensions of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// What a limit by address counts: the address, or the /64 that one IPv6 client has whole.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remote(pub SocketAddr);

/// Puts the [`ClientAddress`] into the request.
pub(super) async fn locate(
    State(trust_proxy): State<bool>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(Remote(remote)) = request.extensions().get::<Remote>().copied() {
        let remote = remote.ip().to_canonical();
        let told = (trust_proxy && is_near(remote)).then(|| forwarded(request.headers()));
        let address = told.flatten().unwrap_or(remote);
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// A proxy stands on this machine or in its network; what comes from elsewhere did not pass it.
pub(super) fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// What the proxy added: the last entry, since a client can send the ones before it.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = |name: &str| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        Some(value.rsplit(',').next().unwrap_or(value).trim().to_owned())
    };
    if let Some(entry) = last("x-forwarded-for") {
        return address(&entry);
    }
    let entry = last(FORWARDED.as_str())?;
    let part = entry.split(';').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("for")
            .then(|| value.trim().trim_matches('"').to_owned())
    })?;
    address(&part)
}

/// An address as proxies write it: bare, with a port, or in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.split(']').next());
    bare.unwrap_or(text)
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        forwarded(&map).map(|address| address.to_string())
    }

    #[test]
    fn the_last_entry_is_the_proxys() {
        let by = "x-forwarded-for";
        let cases = [
            (vec![(by, "203.0.113.7")], Some("203.0.113.7")),
            (vec![(by, "6.6.6.6, 203.0.113.7")], Some("203.0.113.7")),
            (
                vec![(by, "6.6.6.6"), (by, "203.0.113.7:9")],
                Some("203.0.113.7"),
            ),
            (
                vec![("forwarded", "for=6.6.6.6"), (by, "203.0.113.7")],
                Some("203.0.113.7"),
            ),
            (
                vec![(
                    "forwarded",
                    "for=1.1.1.1, proto=https;For=\"[2001:db8::1]:4711\"",
                )],
                Some("2001:db8::1"),
            ),
            (
                vec![("forwarded", "for=203.0.113.7;proto=https")],
                Some("203.0.113.7"),
            ),
            (vec![("forwarded", "for=_hidden")], None),
            (vec![(by, "nonsense")], None),
            (vec![], None),
        ];
        for (headers, wanted) in cases {
            assert_eq!(told(&headers).as_deref(), wanted, "{headers:?}");
        }
    }

    #[test]
    fn one_client_has_a_whole_network_of_ipv6() {
        let of = |text: &str| ClientAddress(text.parse().unwrap()).network().to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("203.0.113.7"), "203.0.113.7");
    }
}
