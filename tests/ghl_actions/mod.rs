//! Actions on GoHighLevel through the front door: moving deals, sending e-mails.

mod contract;
mod email;
mod moves;

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::front::{Desk, Provider};

pub const LOCATION: &str = "sandboxLocation01abc";

/// Asks the sandbox itself, as nobody of ours.
pub fn ask(provider: &Provider, method: &str, path: &str, body: &Value) -> Value {
    let address = provider.url.strip_prefix("http://").unwrap();
    let version = if path.starts_with("/conversations") {
        "2021-04-15"
    } else {
        "2021-07-28"
    };
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer pit-sandbox\r\nversion: {version}\r\n\
         accept: application/json\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 2"),
        "{method} {path}: {head}\n{body}"
    );
    serde_json::from_str(body).unwrap()
}

pub fn get(provider: &Provider, path: &str) -> Value {
    ask(provider, "GET", path, &Value::Null)
}

/// The open deals there are.
pub fn open_deals(provider: &Provider) -> Vec<Value> {
    let filters = json!([{ "field": "status", "operator": "eq", "value": "open" }]);
    let body = json!({ "locationId": LOCATION, "limit": 500, "filters": filters });
    let found = ask(provider, "POST", "/opportunities/search", &body);
    found["opportunities"].as_array().unwrap().clone()
}

/// A contact that answers to `like`, out of the first five hundred.
pub fn contact(provider: &Provider, like: impl Fn(&Value) -> bool) -> Value {
    let body = json!({ "locationId": LOCATION, "pageLimit": 500 });
    let found = ask(provider, "POST", "/contacts/search", &body);
    let mut contacts = found["contacts"].as_array().unwrap().iter();
    contacts.find(|contact| like(contact)).unwrap().clone()
}

/// Somebody who may be written to.
pub fn reachable(provider: &Provider) -> Value {
    contact(provider, |contact| {
        contact["email"].is_string()
            && contact["dnd"] != true
            && contact["dndSettings"]["Email"]["status"] != "active"
    })
}

pub fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap().to_owned()
}

/// What was sent to change something, as the record of calls has it.
pub fn writes(desk: &Desk) -> Vec<String> {
    let lines = desk.sql(
        "select method || ' ' || endpoint from api_calls
          where method <> 'GET' and endpoint not like '%/search' order by id",
    );
    lines.lines().map(str::to_owned).collect()
}

/// The write of the last command, as it is written down.
pub fn state(desk: &Desk) -> String {
    desk.sql("select state from writes order by id desc limit 1")
}
