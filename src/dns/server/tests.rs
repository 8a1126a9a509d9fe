use std::time::Instant;

use proptest::prelude::*;
use tokio::time::Instant as Clock;

use super::*;
use crate::dns::made::{record, zone_name, zone_of};
use crate::dns::{Lookup, Owner, Resolver};
use crate::env::Env;

fn env(value: &str) -> Env {
    Env::from_iter([("MEDTAINER_DNS".to_owned(), value.to_owned())])
}

fn soon() -> Clock {
    Clock::now() + Duration::from_secs(20)
}

async fn ask(address: SocketAddr, name: &str, kind: RecordType) -> Answer {
    let resolver = Resolver::of(&env(&address.to_string())).unwrap();
    let session = resolver.session(soon());
    session.lookup(&name.parse().unwrap(), &kind).await
}

#[tokio::test]
async fn questions_go_over_the_wire_and_come_back() {
    let long = format!("long 300 TXT {}", "x".repeat(3_000));
    let many: Vec<_> = (0..200).map(|i| format!("many 300 A 10.0.0.{i}")).collect();
    let mut lines = vec![
        "@ 300 MX 10 mail.example.com",
        "@ 300 TXT v=spf1 include:a.example.com \"quoted\\ -all",
        "@ 300 CAA 0 issue \"letsencrypt.org\"",
        "www 300 CNAME mail.example.com",
        "mail 300 A 192.0.2.1",
        "mail 300 AAAA 2001:db8::1",
        "_sip._tcp 300 SRV 1 2 5060 sip.example.net.",
        "gone 300 CNAME nothing.example.com",
        "far 300 CNAME host.example.org",
        &long,
    ];
    lines.extend(many.iter().map(String::as_str));
    let zone = zone_of(&lines);
    let server = Sandbox::of(std::slice::from_ref(&zone)).await.unwrap();
    for record in zone
        .records
        .iter()
        .filter(|record| record.kind != RecordType::Cname)
    {
        let name = record.name.fqdn(&zone.name);
        let answer = ask(server.address(), name.as_str(), record.kind.clone()).await;
        assert!(
            answer
                .records()
                .iter()
                .any(|there| there.value_key() == record.value_key() && there.ttl == record.ttl),
            "{record}: {answer:?}"
        );
    }
    let Answer::Found { records, aliases } =
        ask(server.address(), "www.example.com", RecordType::A).await
    else {
        panic!()
    };
    assert_eq!((records.len(), records[0].data.as_str()), (1, "192.0.2.1"));
    assert_eq!(aliases, ["mail.example.com".parse().unwrap()]);
    let many = ask(server.address(), "many.example.com", RecordType::A).await;
    assert_eq!(many.records().len(), 200);
    for (name, kind, said) in [
        ("mail.example.com", RecordType::Txt, Answer::Empty),
        ("nothing.example.com", RecordType::A, Answer::NoName),
        ("gone.example.com", RecordType::A, Answer::NoName),
    ] {
        assert_eq!(ask(server.address(), name, kind).await, said, "{name}");
    }
    for name in ["host.example.org", "far.example.com"] {
        let answer = ask(server.address(), name, RecordType::A).await;
        assert!(!answer.is_known() && !answer.is_void(), "{name} {answer:?}");
    }
    // What changes is told at once.
    server
        .names()
        .publish("zones", &[zone_of(&["nothing 300 A 192.0.2.7"])]);
    let answer = ask(server.address(), "nothing.example.com", RecordType::A).await;
    assert_eq!(answer.data().collect::<Vec<_>>(), ["192.0.2.7"]);
}

#[tokio::test]
async fn silence_is_no_answer() {
    // Takes questions and says nothing.
    let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::at(deaf.local_addr().unwrap()).unwrap();
    let session = resolver.session(Clock::now() + Duration::from_millis(300));
    let (name, begun) = (zone_name(), Instant::now());
    let questions = (0..40).map(|i| {
        let name = Owner::relative(&format!("h{i}")).fqdn(&name);
        let session = &session;
        async move { session.lookup(&name, &RecordType::A).await }
    });
    for answer in futures::future::join_all(questions).await {
        assert!(!answer.is_known() && !answer.is_void(), "{answer:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    // Nobody there at all.
    drop(deaf);
    let answer = ask("127.0.0.1:1".parse().unwrap(), "example.com", RecordType::A).await;
    assert!(!answer.is_known(), "{answer:?}");
    let offline = crate::dns::Offline::default();
    assert!(!offline.lookup(&name, &RecordType::A).await.is_known());
}

#[tokio::test]
async fn a_question_is_asked_once_in_a_call() {
    let server = Sandbox::of(&[zone_of(&["www 300 A 192.0.2.1"])])
        .await
        .unwrap();
    let resolver = Resolver::at(server.address()).unwrap();
    let (session, name) = (resolver.session(soon()), "new.example.com".parse().unwrap());
    assert_eq!(session.lookup(&name, &RecordType::A).await, Answer::NoName);
    server
        .names()
        .publish("zones", &[zone_of(&["new 300 A 192.0.2.1"])]);
    assert_eq!(session.lookup(&name, &RecordType::A).await, Answer::NoName);
    let again = resolver.session(soon()).lookup(&name, &RecordType::A).await;
    assert_eq!(again.records().len(), 1, "{again:?}");
}

#[test]
fn the_variable_is_an_address() {
    for bad in ["dns.example.com", "127.0.0.1:x", "1.2.3"] {
        let error = Resolver::of(&env(bad)).err().unwrap();
        assert_eq!(error.kind(), crate::Kind::Usage, "{bad}");
        assert!(error.hint_text().is_some());
    }
}

#[test]
fn rubbish_gets_no_answer_or_an_error() {
    let names = Names::default();
    assert_eq!(respond(&names, b"", true), None);
    assert_eq!(respond(&names, &[0xff; 40], true), None);
    // An answer is not answered, or two servers would talk for ever.
    let mut message = Message::response(7, OpCode::Query);
    assert_eq!(respond(&names, &message.to_vec().unwrap(), true), None);
    message = Message::new(7, hickory_proto::op::MessageType::Query, OpCode::Update);
    let answer = respond(&names, &message.to_vec().unwrap(), true).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NotImp);
    assert_eq!(answer.metadata.id, 7);
}

proptest! {
    #[test]
    fn a_record_is_the_same_behind_the_wire(record in record()) {
        let owner = record.name.fqdn(&zone_name());
        // An ALIAS has no number, so no message can carry it.
        prop_assume!(wire::kind(&record.kind).is_some());
        let sent = wire::record(&wire::name(&owner).unwrap(), &record)
            .unwrap_or_else(|| panic!("{record} cannot be sent"));
        let mut message = Message::response(1, OpCode::Query);
        message.add_answers([sent]);
        let message = Message::from_vec(&message.to_vec().unwrap()).unwrap();
        let back = wire::record_of(&message.answers[0]).unwrap();
        prop_assert_eq!(back.name.fqdn(&DomainName::root()), owner);
        prop_assert_eq!(&back.kind, &record.kind);
        prop_assert_eq!(back.value_key(), record.value_key());
    }

    #[test]
    fn no_message_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        respond(&Names::default(), &bytes, true);
    }
}
