use proptest::prelude::*;

use super::*;
use crate::Kind;
use crate::dns::made::{made, record, zone, zone_name, zone_of};

#[test]
fn spellings_of_one_record_are_one_record() {
    for (kind, spellings) in [
        ("AAAA", &["2001:DB8:0:0::0001", "2001:db8::1"][..]),
        ("CNAME", &["Example.COM.", "example.com", "@"]),
        ("MX", &["10 Mail.Example.com.", "10  mail.example.com"]),
        (
            "TXT",
            &["v=spf1 -all", "\"v=spf1 -all\"", "\"v=spf1\" \" \\045all\""],
        ),
        ("CAA", &["0 issue \"le.org\"", "0 ISSUE le.org"]),
        (
            "SRV",
            &["1 2 443 Sip.example.com.", "1 2 443 sip.example.com"],
        ),
        (
            "TLSA",
            &["3 1 1 ABCD EF01", "3  1 1 abcdef01", "3 1 1 abcdef01"],
        ),
        ("tlsa", &["3 1 1 ABCDEF01", "3 1 1 abcdef01"]),
        ("HTTPS", &["1 . alpn=\"h2, h3\"", "1  .   alpn=\"h2, h3\""]),
        (
            "SOA",
            &[
                "NS1.a.net. host.a.net. ( 01 2 3 4 5 )",
                "ns1.a.net host.a.net 1 2 3 4 5",
            ],
        ),
    ] {
        let first = made(kind, "@", spellings[0]);
        for spelling in spellings {
            let other = made(kind, "example.com.", spelling);
            assert_eq!(first, other, "{kind} {spelling}");
        }
    }
    let apart = Draft {
        priority: Some(10),
        ..Draft::new("MX", "@", "mail.example.com")
    };
    let apart = apart.parse(&zone_name(), &Limits::default()).unwrap();
    assert_eq!(apart, made("MX", "@", "10 mail.example.com"));
    // Cloudflare keeps an SRV's priority apart, and the rest in its content.
    let apart = Draft {
        priority: Some(1),
        ..Draft::new("SRV", "_sip._tcp", "2 443 sip.example.com")
    };
    let apart = apart.accept(Owner::relative("_sip._tcp"), &zone_name());
    assert_eq!(apart, made("SRV", "_sip._tcp", "1 2 443 sip.example.com"));
}

#[test]
fn wrong_words_are_usage_errors_that_say_what_to_write() {
    for (kind, name, value, said) in [
        ("A", "www", "300.1.2.3", "not an IPv4 address"),
        ("A", "www", "2001:db8::1", "not an IPv4 address"),
        ("A", "www", "host.example.com", "not an IPv4 address"),
        ("AAAA", "www", "192.0.2.1", "not an IPv6 address"),
        ("CNAME", "www", "192.0.2.1", "an address where a name"),
        ("CNAME", "www", "localhost", "not a whole name"),
        ("CNAME", "@", "a.example.net", "own name"),
        ("MX", "@", "mail.example.com", "no priority"),
        ("MX", "@", "ten mail.example.com", "`ten` is not a priority"),
        ("MX", "@", "99999 mail.example.com", "not a priority"),
        ("SRV", "_a._tcp", "1 2 sip.example.com", "not the data"),
        ("SRV", "_a._tcp", "sip.example.com", "no priority"),
        ("CAA", "@", "letsencrypt.org", "not the data"),
        ("CAA", "@", "999 issue \"a\"", "`999` is not a flag"),
        ("TXT", "@", "\"half", "quotes"),
        ("TXT", "@", "a\nb", "`\\n`"),
        ("TXT", "@", "\"\\255\\254\"", "UTF-8"),
        ("TXT", "@", &"x".repeat(70_000), "70000 octets"),
        ("WHAT EVER", "@", "x", "record type"),
        ("A", "a b", "192.0.2.1", "does not belong"),
        ("A", "", "192.0.2.1", "needs a name"),
        ("A", "www.example.org.", "192.0.2.1", "not in the zone"),
        ("A", "www", "", "no value"),
        ("SOA", "@", "a. b. 1 2 3", "not the data"),
    ] {
        let limits = Limits {
            apex_cname: false,
            ..Limits::default()
        };
        let error = Draft::new(kind, name, value)
            .parse(&zone_name(), &limits)
            .expect_err(value);
        assert_eq!(error.kind(), Kind::Usage, "{kind} {value}");
        assert!(error.message().contains(said), "{kind} {value}: {error}");
        assert!(error.hint_text().is_some(), "{kind} {value}");
    }
    let limits = Limits {
        min_ttl: 600,
        max_ttl: 86_400,
        automatic_ttl: false,
        proxied: false,
        text: 512,
        ..Limits::default()
    };
    let refused = |draft: Draft| draft.parse(&zone_name(), &limits).unwrap_err().to_string();
    let a = Draft::new("A", "www", "192.0.2.1");
    for (ttl, said) in [
        (Ttl::Seconds(60), "60 seconds"),
        (Ttl::Seconds(100_000), "100000 seconds"),
        (Ttl::Automatic, "automatic"),
    ] {
        let error = refused(Draft {
            ttl: Some(ttl),
            ..a.clone()
        });
        assert!(error.contains(said), "{error}");
    }
    let error = refused(Draft {
        proxied: Some(true),
        ..a.clone()
    });
    assert!(error.contains("proxied"), "{error}");
    let error = refused(Draft::new("TXT", "@", "x".repeat(513)));
    assert!(error.contains("513 octets"), "{error}");
    let error = refused(Draft {
        priority: Some(1),
        ..a
    });
    assert!(error.contains("only MX and SRV"), "{error}");
}

#[test]
fn what_a_provider_has_is_kept_even_where_it_is_wrong() {
    for (kind, value) in [
        ("A", "Parked"),
        ("MX", "smtp"),
        ("CNAME", "not a name"),
        ("TXT", "\"half"),
        ("odd type", "x"),
    ] {
        let draft = Draft::new(kind, "", value);
        let record = draft.accept(Owner::relative("www"), &zone_name());
        assert_eq!(record.data, value);
        // And can be shown, and told apart.
        assert!(record.presentation().contains(value.trim_matches('"')));
        assert!(record.says_the_same(&record.clone()));
    }
}

#[test]
fn a_zone_says_all_that_is_wrong_with_it() {
    let mut zone = zone_of(&[
        "@ 300 CNAME a.example.net",
        "@ 300 NS ns1.example.net",
        "www 60 A 192.0.2.1",
        "www 300 A 192.0.2.1",
        "blog 300 CNAME a.example.net",
        "blog 300 CNAME b.example.net",
        "shop 300 CNAME a.example.net",
        "shop 300 TXT x",
    ]);
    zone.limits = Limits {
        min_ttl: 300,
        apex_cname: false,
        ..Limits::default()
    };
    let problems: Vec<_> = zone.check().iter().map(Error::to_string).collect();
    assert_eq!(
        problems,
        [
            "CNAME @: a CNAME cannot stand at the zone's own name",
            "`@` has a CNAME beside other records",
            "`blog` has more than one CNAME",
            "`shop` has a CNAME beside other records",
            "A www: a TTL of 60 seconds is not taken here",
            "`www A 192.0.2.1` is there twice",
        ]
    );
}

#[test]
fn long_text_is_cut_between_characters() {
    let text = format!("{}é{}", "x".repeat(254), "y".repeat(300));
    let record = made("TXT", "@", &text);
    let strings = record.txt_strings();
    assert_eq!(
        strings.iter().map(|s| s.len()).collect::<Vec<_>>(),
        [254, 255, 47]
    );
    assert_eq!(strings.concat(), text);
    assert_eq!(made("TXT", "@", &record.presentation()), record);
    assert_eq!(made("TXT", "@", "").presentation(), "\"\"");
    assert_eq!(made("TXT", "@", "a\"b\\c").value(), r#""a\"b\\c""#);
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(record in record()) {
        for value in [record.value(), record.presentation()] {
            let draft = Draft {
                ttl: record.ttl,
                proxied: record.proxied,
                ..Draft::new(record.kind.as_str(), record.name.fqdn(&zone_name()).absolute(), value)
            };
            let again = draft.parse(&zone_name(), &Limits::default()).unwrap();
            prop_assert_eq!(&again, &record);
        }
    }

    #[test]
    fn no_words_make_it_panic(kind in "\\PC{0,6}|A|AAAA|MX|SRV|TXT|CAA|SOA|HTTPS|TLSA", name in "\\PC{0,20}", value in "\\PC{0,60}|[ \"\\\\0-9a.]{0,30}") {
        let draft = Draft::new(kind, name.clone(), value);
        draft.parse(&zone_name(), &Limits::default()).ok();
        let record = draft.accept(Owner::relative(&name), &zone_name());
        prop_assert!(record.says_the_same(&record.clone()));
        let _ = (record.presentation(), record.to_string(), record.target(), record.caa(), record.name.fqdn(&zone_name()).unicode());
    }

    #[test]
    fn neither_order_nor_ids_make_a_zone_another(zone in zone(), turn in any::<prop::sample::Index>()) {
        let mut other = zone.clone();
        if !other.records.is_empty() {
            let by = turn.index(other.records.len());
            other.records.rotate_left(by);
        }
        other.records.iter_mut().for_each(|record| record.id = None);
        prop_assert!(zone.holds_the_same(&other));
        let counted: usize = zone.sets().iter().map(|(_, records)| records.len()).sum();
        prop_assert_eq!(counted, zone.records.len());
        if let Some(last) = other.records.pop() {
            prop_assert!(!zone.holds_the_same(&other));
            let set: Vec<_> = other.set(&last.name, &last.kind).collect();
            prop_assert!(set.iter().all(|record| !record.says_the_same(&last)));
        }
    }
}
