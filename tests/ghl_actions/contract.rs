//! The requests of actions against the provider's description: the sandbox answers, and each request is also put
//! to a mock that we did not write.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::{id, open_deals, reachable};
use crate::contract::{Prism, mended, shared};
use crate::front::{Desk, Provider};
use crate::registry::Npm;

/// A request as it came over the wire, and where the answer goes.
fn received(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    let mut part = [0; 16_384];
    loop {
        let read = stream.read(&mut part).ok()?;
        if read == 0 {
            return None;
        }
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(request);
        }
    }
}

/// The same request at another address, on a connection that ends with it.
fn forward(address: &str, request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines: Vec<String> = head
        .lines()
        .filter(|line| {
            !line.to_lowercase().starts_with("connection:")
                && !line.to_lowercase().starts_with("host:")
        })
        .map(str::to_owned)
        .collect();
    lines.push(format!("host: {address}"));
    lines.push("connection: close".to_owned());
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(format!("{}\r\n\r\n{body}", lines.join("\r\n")).as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn a_mock_of_the_providers_description_accepts_every_request_of_every_action() {
    let Some(description) = shared("gohighlevel") else {
        return;
    };
    let Some(npm) = Npm::installed() else { return };
    let mended = mended(&description);
    let prism = Prism::serve(&npm, mended.path());
    let provider = Provider::start("--no-limits");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (mock, sandbox) = (prism.url.clone(), provider.url.clone());
    let log = seen.clone();
    std::thread::spawn(move || {
        let bare = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mock, sandbox, log) = (bare(&mock), bare(&sandbox), log.clone());
            std::thread::spawn(move || {
                let Some(request) = received(&mut stream) else {
                    return;
                };
                let verdict = forward(&mock, &request);
                let verdict = String::from_utf8_lossy(&verdict);
                let line = String::from_utf8_lossy(&request);
                log.lock().unwrap().push(format!(
                    "{} {}",
                    verdict.lines().next().unwrap_or_default(),
                    line.lines().next().unwrap_or_default()
                ));
                stream.write_all(&forward(&sandbox, &request)).unwrap();
            });
        }
    });

    let deals = open_deals(&provider);
    let desk = Desk::new(&provider).with("MEDTAINER_GHL_URL", &url);
    let deal = deals
        .iter()
        .find(|deal| deal["pipelineId"] == "sandboxPipelineWhole")
        .unwrap();
    let (deal, whose) = (id(deal), deal["contactId"].as_str().unwrap());
    let who = id(&reachable(&provider));
    let moved = desk.json(&format!("ghl move {deal} 'quote sent'"));
    desk.json(&format!("undo {} --yes", moved["data"]["id"]));
    desk.run(&format!("ghl move {whose} negotiation"));
    desk.json(&format!("ghl email {who} --subject Hello --body Hi --yes"));
    desk.json(&format!(
        "ghl email {who} --subject Hello --body <b>Hi</b> --html --from a@b.example --yes"
    ));
    let tasked = desk.json(&format!("ghl task {who} --title Call --body Soon"));
    desk.json(&format!("undo {} --yes", tasked["data"]["id"]));
    desk.json(&format!("ghl analyze {who} --fresh"));

    let seen = seen.lock().unwrap();
    assert!(seen.len() > 20, "{seen:?}");
    for method in ["PUT", "POST /conversations/messages ", "DELETE"] {
        assert!(
            seen.iter().any(|line| line.contains(method)),
            "{method}: {seen:?}"
        );
    }
    let log = prism.log();
    let count = |words: &str| log.matches(words).count();
    assert_eq!(count("Request received"), seen.len(), "{log}");
    assert_eq!(
        count("The request passed the validation rules"),
        seen.len(),
        "{log}"
    );
    assert_eq!(count("Violation"), 0, "{log}");
}
