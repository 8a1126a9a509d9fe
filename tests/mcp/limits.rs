//! What the server bounds: who a client is, how much comes at once, how long anybody may dawdle.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::routing::{get, post};
use medtainer_core::mcp::http::{ClientAddress, Listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::stack::Theatre;

async fn told(theatre: &Theatre, headers: &[(&str, &str)]) -> String {
    let mut request = theatre.http.get(format!("{}/who", theatre.origin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn forwarded_addresses_count_only_where_a_proxy_is_trusted() {
    let who =
        async |Extension(ClientAddress(address)): Extension<ClientAddress>| address.to_string();
    let router = axum::Router::new().route("/who", get(who));
    let alone = Theatre::beside(|_| {}, router.clone()).await;
    let proxied = Theatre::beside(|listen| listen.trust_proxy = true, router).await;
    let spoofed = [("x-forwarded-for", "6.6.6.6, 203.0.113.7")];
    assert_eq!(told(&alone, &spoofed).await, "127.0.0.1");
    assert_eq!(
        told(&alone, &[("forwarded", "for=203.0.113.7")]).await,
        "127.0.0.1"
    );
    assert_eq!(told(&proxied, &spoofed).await, "203.0.113.7");
    assert_eq!(told(&proxied, &[]).await, "127.0.0.1");
}

/// What a server says to these bytes until it hangs up, and when that was.
async fn heard(theatre: &Theatre, bytes: &[u8]) -> (String, Duration) {
    let address = theatre.origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let started = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut text = String::new();
    let end = stream.read_to_string(&mut text);
    let end = tokio::time::timeout(Duration::from_secs(10), end).await;
    end.expect("it hangs up").ok();
    (text, started.elapsed())
}

#[tokio::test]
async fn a_client_that_dawdles_is_hung_up_on() {
    let short = |listen: &mut Listen| listen.limits.header_time = Duration::from_millis(300);
    let theatre = Theatre::new(short).await;
    let says_nothing = heard(&theatre, b"").await;
    let stops_in_the_head = heard(&theatre, b"POST /mcp HTTP/1.1\r\nhost: localhost\r\n").await;
    let keeps_it_open = heard(&theatre, b"GET /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    for (_, waited) in [&says_nothing, &stops_in_the_head, &keeps_it_open] {
        assert!(*waited >= Duration::from_millis(250), "{waited:?}");
    }
    assert!(
        keeps_it_open.0.starts_with("HTTP/1.1 405"),
        "{}",
        keeps_it_open.0
    );
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let theatre = Theatre::new(|listen| listen.limits.connections = 1).await;
    let address = theatre.origin.strip_prefix("http://").unwrap();
    let mut first = TcpStream::connect(address).await.unwrap();
    first
        .write_all(b"GET /mcp HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let (text, waited) = heard(&theatre, b"").await;
    assert!(
        text.starts_with("HTTP/1.1 503") && text.contains("retry-after: "),
        "{text}"
    );
    assert!(waited < Duration::from_secs(1));
    drop(first);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let again = theatre
        .http
        .get(format!("{}/mcp", theatre.origin))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 405, "there is room again");
}

#[tokio::test]
async fn more_requests_than_can_be_answered_at_once_are_told_when_to_come_again() {
    for (of_all, of_one, wanted) in [(2, 9, 503), (9, 2, 429)] {
        let few = |listen: &mut Listen| {
            listen.limits.requests = of_all;
            listen.limits.requests_of_one = of_one;
        };
        let theatre = Theatre::new(few).await;
        let long = || tokio::spawn(theatre.modern_sleep(Duration::from_millis(1_500)).send());
        let taken = [long(), long()];
        tokio::time::sleep(Duration::from_millis(300)).await;
        let started = Instant::now();
        let refused = theatre.modern_sleep(Duration::ZERO).send().await.unwrap();
        assert_eq!(refused.status(), wanted);
        assert!(refused.headers().contains_key("retry-after"));
        assert!(started.elapsed() < Duration::from_secs(1), "told at once");
        for reply in taken {
            assert_eq!(reply.await.unwrap().unwrap().status(), 200);
        }
        let again = theatre.modern_sleep(Duration::ZERO).send().await.unwrap();
        assert_eq!(again.status(), 200, "there is room again");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_or_is_too_long_is_refused() {
    let small = |listen: &mut Listen| {
        listen.limits.body = 1_000;
        listen.limits.body_time = Duration::from_millis(300);
    };
    let theatre = Theatre::new(small).await;
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let (text, waited) = heard(
        &theatre,
        format!("{head}content-length: 90\r\n\r\n{{").as_bytes(),
    )
    .await;
    assert!(
        text.starts_with("HTTP/1.1 408") && text.contains("connection: close"),
        "{text}"
    );
    assert!(waited < Duration::from_secs(2));
    // Without a length, in pieces.
    let piece = format!("258\r\n{}\r\n", " ".repeat(600));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{piece}{piece}0\r\n\r\n");
    let (text, _) = heard(&theatre, chunked.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test]
async fn pages_that_need_no_credential_are_bounded_too() {
    let small = |listen: &mut Listen| {
        listen.limits.body_time = Duration::from_millis(300);
        listen.limits.requests = 1;
    };
    let slow = async |body: String| {
        tokio::time::sleep(Duration::from_millis(700)).await;
        body
    };
    let router = axum::Router::new().route("/form", post(slow));
    let theatre = Theatre::beside(small, router).await;
    let head = "POST /form HTTP/1.1\r\nhost: localhost\r\n";
    let stops = format!("{head}content-length: 100\r\n\r\nx");
    let (text, waited) = heard(&theatre, stops.as_bytes()).await;
    assert!(
        text.starts_with("HTTP/1.1 408") && text.contains("connection: close"),
        "{text}"
    );
    assert!(waited < Duration::from_secs(2));
    let long = format!(
        "{head}content-length: 200000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let (text, _) = heard(&theatre, long.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");

    let url = format!("{}/form", theatre.origin);
    let send = || theatre.http.post(&url).body("x").send();
    let under_way = tokio::spawn(send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(send().await.unwrap().status(), 503);
    let tool = theatre.modern_sleep(Duration::ZERO).send().await.unwrap();
    assert_eq!(tool.status(), 200, "strangers take no room from calls");
    let first = under_way.await.unwrap().unwrap();
    assert_eq!(first.text().await.unwrap(), "x");
}

/// An address of this machine by which others reach it.
fn beyond_loopback() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: it only finds the way there.
    socket.connect("198.51.100.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let Some(ip) = beyond_loopback() else {
        return crate::registry::skip("this machine has no address but its loopback one");
    };
    let few = |listen: &mut Listen| {
        listen.address = ([0, 0, 0, 0], 0).into();
        listen.limits.connections_of_one = 2;
    };
    let theatre = Theatre::new(few).await;
    let port = theatre.origin.rsplit(':').next().unwrap().to_owned();
    let open = async |host: &str| {
        let mut stream = TcpStream::connect(format!("{host}:{port}")).await.unwrap();
        let ask = format!("GET /mcp HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut head = [0; 400];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut head));
        let length = read.await.expect("an answer").unwrap_or_default();
        (
            stream,
            String::from_utf8_lossy(&head[..length]).into_owned(),
        )
    };
    let far = ip.to_string();
    let (one, said) = open(&far).await;
    assert!(said.starts_with("HTTP/1.1 4"), "{said}");
    let (_two, _) = open(&far).await;
    let (_, said) = open(&far).await;
    assert!(
        said.starts_with("HTTP/1.1 429")
            && said.contains("retry-after: ")
            && said.contains("from this address"),
        "{said}"
    );
    for _ in 0..4 {
        let (_, said) = open("127.0.0.1").await;
        assert!(
            said.starts_with("HTTP/1.1 405"),
            "nobody counts this machine: {said}"
        );
    }
    drop(one);
    let dropped = Instant::now();
    while open(&far).await.1.starts_with("HTTP/1.1 429") {
        assert!(
            dropped.elapsed() < Duration::from_secs(10),
            "there is no room again"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_connections_of_a_proxy_are_not_counted() {
    let Some(ip) = beyond_loopback() else {
        return crate::registry::skip("this machine has no address but its loopback one");
    };
    let is_near = matches!(ip, std::net::IpAddr::V4(ip) if ip.is_private() || ip.is_link_local());
    let refused = async |change: fn(&mut Listen)| {
        let proxied = Theatre::new(|listen| {
            listen.address = ([0, 0, 0, 0], 0).into();
            listen.limits.connections_of_one = 2;
            change(listen);
        })
        .await;
        let port = proxied.origin.rsplit(':').next().unwrap();
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..5 {
            let mut stream = TcpStream::connect((ip, port.parse().unwrap()))
                .await
                .unwrap();
            let mut head = [0; 12];
            let read = stream.read(&mut head);
            let said = tokio::time::timeout(Duration::from_secs(1), read).await;
            refused += usize::from(said.is_ok());
            open.push(stream);
        }
        refused
    };
    // Everybody comes through one that is believed; one that is not may stand in the same network.
    assert_eq!(refused(|listen| listen.trust_proxy = true).await, 0);
    let public = refused(|listen| {
        listen.public_url = Some("https://tools.example.com".parse().unwrap());
    });
    assert_eq!(public.await, if is_near { 0 } else { 3 });
    assert_eq!(refused(|_| {}).await, 3);
}
