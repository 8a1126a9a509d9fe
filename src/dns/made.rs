//! Made-up records and zones, for property tests.

use proptest::prelude::*;

use super::{DomainName, Draft, Limits, Owner, Record, Ttl, Zone};

pub(crate) fn zone_name() -> DomainName {
    "example.com".parse().unwrap()
}

/// Few names, so that records meet.
fn owner() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("@".to_owned()),
        3 => "[a-c]",
        1 => "_?[a-z0-9]{1,12}(\\.[a-z0-9]{1,8}){0,2}",
        1 => Just("*".to_owned()),
        1 => "\\*\\.[a-c]",
        1 => Just("bücher".to_owned()),
        1 => Just("example.com.example.com.".to_owned()),
    ]
}

fn target() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]\\.example\\.(com|net)",
        1 => "[A-D]\\.Example\\.org\\.",
        1 => Just("@".to_owned()),
        1 => Just("münchen.example".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c]",
        2 => "v=spf1( include:[a-c]\\.example\\.net){0,3} [~-]all",
        // Anything a TXT may hold: quotes, backslashes, semicolons, blanks at its ends.
        2 => "[ -~]{0,40}".prop_filter("a first quote opens a string", |text| !text.trim_start().starts_with('"')),
        1 => "[ -~äöü€😀]{0,600}".prop_map(|text| format!("x{text}")),
        1 => Just(String::new()),
    ]
}

fn value() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        3 => any::<[u8; 4]>().prop_map(|a| ("A", std::net::Ipv4Addr::from(a).to_string())),
        2 => (1u8..4).prop_map(|a| ("A", format!("192.0.2.{a}"))),
        2 => any::<[u8; 16]>().prop_map(|a| ("AAAA", std::net::Ipv6Addr::from(a).to_string())),
        2 => target().prop_map(|t| ("CNAME", t)),
        2 => (0u16..4, target()).prop_map(|(p, t)| ("MX", format!("{p} {t}"))),
        2 => target().prop_map(|t| ("NS", t)),
        1 => target().prop_map(|t| ("PTR", t)),
        1 => target().prop_map(|t| ("ALIAS", t)),
        1 => (any::<[u16; 3]>(), target()).prop_map(|([a, b, c], t)| ("SRV", format!("{a} {b} {c} {t}"))),
        4 => text().prop_map(|t| ("TXT", t)),
        1 => (any::<u8>(), "issue|issuewild|iodef", "[ -!#-~]{0,20}").prop_map(|(f, t, v)| ("CAA", super::rdata::show_caa(&super::Caa { flags: f, tag: t, value: v }))),
        1 => "[0-9A-F]{64}".prop_map(|hex| ("TLSA", format!("3 1 1 {hex}"))),
        1 => target().prop_map(|t| ("HTTPS", format!("1 {} alpn=\"h2,h3\"", t.replace('@', ".")))),
        1 => any::<u32>().prop_map(|n| ("SOA", format!("ns1.example.net. host.example.com. {n} 3600 600 604800 300"))),
    ]
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    (
        owner(),
        value(),
        prop::option::weighted(0.8, 300u32..302),
        prop::option::weighted(0.3, any::<bool>()),
    )
        .prop_map(|(name, (kind, value), ttl, proxied)| {
            let proxied = proxied.filter(|_| matches!(kind, "A" | "AAAA" | "CNAME"));
            let draft = Draft {
                ttl: ttl.map(|ttl| match ttl {
                    301 => Ttl::Automatic,
                    ttl => Ttl::Seconds(ttl),
                }),
                proxied,
                ..Draft::new(kind, name, value)
            };
            draft
                .parse(&zone_name(), &Limits::default())
                .unwrap_or_else(|error| panic!("{draft:?}: {error}"))
        })
}

/// A zone without the same record twice; each record has an id.
pub(crate) fn zone() -> impl Strategy<Value = Zone> {
    prop::collection::vec(record(), 0..24).prop_map(|mut records| {
        let mut kept: Vec<Record> = Vec::new();
        records.retain(|record| {
            let new = !kept.iter().any(|other| other.says_the_same(record));
            kept.extend(new.then(|| record.clone()));
            new
        });
        for (i, record) in records.iter_mut().enumerate() {
            record.id = Some(format!("r{i}"));
        }
        Zone::new(zone_name(), Limits::default()).with(records)
    })
}

/// A record out of words that are right.
pub(crate) fn made(kind: &str, name: &str, value: &str) -> Record {
    Draft::new(kind, name, value)
        .parse(&zone_name(), &Limits::default())
        .unwrap_or_else(|error| panic!("{kind} {name} {value}: {error}"))
}

/// A zone out of lines such as `www 300 A 192.0.2.1`.
pub(crate) fn zone_of(lines: &[&str]) -> Zone {
    let records = lines.iter().map(|line| {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (name, ttl, kind, value) = (word(), word(), word(), word());
        Record {
            ttl: Some(Ttl::Seconds(ttl.parse().unwrap())),
            ..Draft::new(kind, "", value).accept(Owner::relative(name), &zone_name())
        }
    });
    Zone::new(zone_name(), Limits::default()).with(records.collect())
}
