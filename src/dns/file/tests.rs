use proptest::prelude::*;

use super::*;
use crate::dns::made::{made, zone, zone_name};
use crate::dns::{Owner, RecordType};

fn read_bind(text: &str) -> ZoneFile {
    read(text, Format::Bind, &zone_name(), &Limits::default())
        .unwrap_or_else(|error| panic!("{error} {:?}", error.details_value()))
}

fn read_yaml(text: &str) -> ZoneFile {
    read(text, Format::Octodns, &zone_name(), &Limits::default())
        .unwrap_or_else(|error| panic!("{error} {:?}", error.details_value()))
}

fn lines(file: &ZoneFile) -> Vec<String> {
    file.records
        .iter()
        .map(|record| {
            let ttl = record.ttl.map_or("-".to_owned(), |ttl| ttl.to_string());
            format!("{} {ttl} {} {}", record.name, record.kind, record.value())
        })
        .collect()
}

#[test]
fn a_master_file_reads_as_bind_reads_it() {
    let file = read_bind(
        r#"$TTL 1h
$ORIGIN example.com.
@       IN  SOA ns1 hostmaster.example.com. (
                2026112201 ; serial
                3600 ; refresh
                600 604800
                300 )
        IN  NS  ns1
            NS  ns2.example.net.
        MX  10 mail
@  600  IN  TXT "v=spf1 include:_spf.example.net" " -all" ; a comment; with "quotes"
www     IN 2h30m A 192.0.2.1
        AAAA 2001:DB8::1
*.shop  CNAME www
$ORIGIN sub.example.com.
a       300 A 192.0.2.2
@       A 192.0.2.3
deep.b  CNAME a
txt     TXT plain semi\;colon "a\"b" ( "more"
          "still" )
"#,
    );
    assert_eq!(
        lines(&file),
        [
            "@ 3600 SOA ns1.example.com hostmaster.example.com 2026112201 3600 600 604800 300",
            "@ 3600 NS ns1.example.com",
            "@ 3600 NS ns2.example.net",
            "@ 3600 MX 10 mail.example.com",
            "@ 600 TXT \"v=spf1 include:_spf.example.net -all\"",
            "www 9000 A 192.0.2.1",
            "www 3600 AAAA 2001:db8::1",
            "*.shop 3600 CNAME www.example.com",
            "a.sub 300 A 192.0.2.2",
            "sub 3600 A 192.0.2.3",
            "deep.b.sub 3600 CNAME a.sub.example.com",
            "txt.sub 3600 TXT \"plainsemi;colona\\\"bmorestill\"",
        ]
    );
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
}

#[test]
fn what_cloudflare_exports_reads_back() {
    let file = read_bind(
        "example.com.\t1\tIN\tA\t192.0.2.1 ; cf_tags=cf-proxied:true\n\
         www.example.com.\t1\tIN\tCNAME\texample.com. ; cf_tags=cf-proxied:false,team:web\n\
         \\042.example.com.\t300\tIN\tHTTPS\t1 . alpn=\"h2,h3\" port=8443\n\
         _sip._tcp.example.com.\t300\tIN\tSRV\t1 2 443 sip.example.net.\n",
    );
    assert_eq!(file.records[0].proxied, Some(true));
    assert_eq!(file.records[0].ttl, Some(Ttl::Automatic));
    assert_eq!(file.records[1].proxied, Some(false));
    assert_eq!(file.records[2].name, Owner::relative("*"));
    assert_eq!(file.records[2].data, "1 . alpn=h2,h3 port=8443");
    assert_eq!(
        file.records[3],
        Record {
            ttl: Some(Ttl::Seconds(300)),
            ..made("SRV", "_sip._tcp", "1 2 443 sip.example.net")
        }
    );
    assert_eq!(file.warnings, ["line 2: the tag `team:web` has no effect"]);
}

#[test]
fn yaml_reads_as_octodns_reads_it() {
    let file = read_yaml(
        r#"---
'':
  - ttl: 60
    type: A
    values: [192.0.2.1, 192.0.2.2]
  - type: MX
    values:
      - exchange: mx1.example.net.
        preference: 10
      - value: mx2.example.net.
        priority: 20
  - type: TXT
    values:
      - v=DMARC1\; p=none
      - "two" 
      - >-
        folded
        text
  - type: CAA
    value: {flags: 128, tag: issue, value: letsencrypt.org}
'*':
  type: CNAME
  value: example.com.
www:
  octodns:
    cloudflare:
      proxied: true
  ttl: 120
  type: A
  value: 192.0.2.1
auto:
  octodns: {cloudflare: {auto-ttl: yes, comment: ours}, lenient: true}
  type: AAAA
  value: '2001:db8::1'
_sip._tcp:
  type: SRV
  value: {port: 5060, priority: 1, target: sip.example.net., weight: 2}
_443._tcp:
  type: TLSA
  value: {certificate_association_data: ABCD, certificate_usage: 3, matching_type: 1, selector: 1}
h:
  type: HTTPS
  value: {svcparams: {alpn: [h2, h3], no-default-alpn: }, svcpriority: 1, targetname: .}
both:
  type: CNAME
  dynamic: {pools: {}}
  value: a.example.net
"#,
    );
    assert_eq!(
        lines(&file),
        [
            "@ 60 A 192.0.2.1",
            "@ 60 A 192.0.2.2",
            "@ - MX 10 mx1.example.net",
            "@ - MX 20 mx2.example.net",
            "@ - TXT \"v=DMARC1; p=none\"",
            "@ - TXT \"two\"",
            "@ - TXT \"folded text\"",
            "@ - CAA 128 issue \"letsencrypt.org\"",
            "* - CNAME example.com",
            "www auto A 192.0.2.1",
            "auto auto AAAA 2001:db8::1",
            "_sip._tcp - SRV 1 2 5060 sip.example.net",
            "_443._tcp - TLSA 3 1 1 abcd",
            "h - HTTPS 1 . alpn=h2,h3 no-default-alpn",
            "both - CNAME a.example.net",
        ]
    );
    assert_eq!(file.records[9].proxied, Some(true));
    assert_eq!(
        file.warnings,
        [
            "line 32: `octodns: cloudflare: comment` has no effect",
            "line 32: `octodns: lenient` has no effect",
            "line 46: `dynamic` has no effect",
            "line 47: `a.example.net` is taken as a whole name; octoDNS wants a dot at its end",
        ]
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    use Format::{Bind, Octodns};
    for (format, text, said) in [
        (
            Bind,
            "www A 192.0.2.1\nwww A 192.0.2.300\n",
            "line 2: A www: `192.0.2.300` is not",
        ),
        (
            Bind,
            "www A 192.0.2.1\n\n@ MX mail.example.com.\n",
            "line 3: MX @: it has no priority",
        ),
        (
            Bind,
            "www A 192.0.2.1\nWWW.example.com. 60 IN A 192.0.2.1",
            "line 2: `www A 192.0.2.1` is on line 1",
        ),
        (
            Bind,
            "www.example.org. A 192.0.2.1",
            "line 1: `www.example.org.` is not in the zone",
        ),
        (Bind, "www TXT \"half", "line 1: a `\"` without its end"),
        (Bind, "@ SOA a. b. ( 1 2\n3", "line 1: a `(` without"),
        (Bind, "@ A 192.0.2.1 )", "line 1: a `)` without"),
        (
            Bind,
            "  A 192.0.2.1",
            "line 1: the first record has no name",
        ),
        (
            Bind,
            "$INCLUDE /etc/passwd",
            "line 1: `$INCLUDE` is not followed",
        ),
        (
            Bind,
            "$GENERATE 1-10 h$ A 192.0.2.$",
            "line 1: `$GENERATE` is not followed",
        ),
        (Bind, "www 3600 CH TXT x", "line 1: the class `CH`"),
        (Bind, "www 3600 IN", "line 1: `www.example.com` has no type"),
        (Bind, "", "the file holds no records"),
        (Bind, "a A 1\nb A 2\nc A 3", "(and 2 more)"),
        (
            Bind,
            "www 99999999999 A 192.0.2.1",
            "`99999999999` is not a record type",
        ),
        (
            Octodns,
            "www:\n  type: A\n  value: nope\n",
            "line 3: A www: `nope` is not",
        ),
        (
            Octodns,
            "www:\n  value: nope\n",
            "line 2: the record of `www` has no `type`",
        ),
        (
            Octodns,
            "www: {type: A}",
            "line 1: the record of `www` has no `value`",
        ),
        (
            Octodns,
            "www: {type: A, ttl: soon, value: 192.0.2.1}",
            "`ttl` of `www`",
        ),
        (
            Octodns,
            "www: {type: MX, value: {exchange: a.b.}}",
            "no `preference`",
        ),
        (Octodns, "www: {type: A, value: {a: b}}", "not a mapping"),
        (
            Octodns,
            "a: {type: A, value: 192.0.2.1}\na: {type: A, value: 192.0.2.2}",
            "line 2: `a` is on line 1",
        ),
        (Octodns, "a: [x\nb: y", "not YAML"),
        (Octodns, "- a\n- b", "line 1: not a mapping"),
        (
            Octodns,
            "a: {type: A, value: 192.0.2.1, octodns: {ignored: true}}",
            "`octodns: ignored` is not followed",
        ),
        (
            Octodns,
            "a: {type: A, values: [192.0.2.1, 192.0.2.1]}",
            "is on line 1 already",
        ),
        (
            Octodns,
            "---\na: {type: A, value: 192.0.2.1}\n---\nb: 1",
            "a second document",
        ),
        (Octodns, "a: *b", "not YAML"),
        (Octodns, "{}", "no records"),
        (
            Octodns,
            "a: {type: CNAME, value: other}",
            "`other` is not a whole name",
        ),
    ] {
        let error = read(text, format, &zone_name(), &Limits::default()).expect_err(text);
        assert_eq!(error.kind(), crate::Kind::Usage, "{text}");
        assert!(error.message().contains(said), "{text}: {error}");
        assert!(error.hint_text().is_some(), "{text}");
    }
    // A small file that unfolds into a large one.
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in "bcdefghij".chars().zip("abcdefghi".chars()) {
        let ten = vec![format!("*{before}"); 10].join(", ");
        bomb.push_str(&format!("{name}: &{name} [{ten}]\n"));
    }
    let error = read(&bomb, Format::Octodns, &zone_name(), &Limits::default()).unwrap_err();
    assert!(error.message().contains("unfolds"), "{error}");
    let deep = "[".repeat(5_000);
    assert!(read(&deep, Format::Octodns, &zone_name(), &Limits::default()).is_err());
}

#[test]
fn a_provider_without_proxies_is_told_so() {
    let limits = Limits {
        proxied: false,
        automatic_ttl: false,
        min_ttl: 600,
        ..Limits::default()
    };
    let text = "www:\n  octodns: {cloudflare: {proxied: true, auto-ttl: true}}\n  ttl: 600\n  type: A\n  value: 192.0.2.1\n";
    let file = read(text, Format::Octodns, &zone_name(), &limits).unwrap();
    assert_eq!(lines(&file), ["www 600 A 192.0.2.1"]);
    assert_eq!(file.warnings.len(), 2, "{:?}", file.warnings);
    let error = read("www 60 A 192.0.2.1", Format::Bind, &zone_name(), &limits).unwrap_err();
    assert!(error.message().contains("a TTL of 60 seconds"), "{error}");
}

#[test]
fn files_are_written_as_people_write_them() {
    let zone = Zone::new(zone_name(), Limits::default()).with(
        read_bind(
            "$TTL 3600\n@ A 192.0.2.1\n@ MX 10 mx.example.net.\n@ MX 20 mx2.example.net.\n\
             www10 CNAME @\nwww9 1 A 192.0.2.9 ; cf_tags=cf-proxied:true\n\
             _dmarc TXT \"v=DMARC1; p=none\"\n* HTTPS 1 . alpn=h2,h3\n",
        )
        .records,
    );
    assert_eq!(
        write(&zone, Format::Bind),
        r#"$ORIGIN example.com.
@        3600 IN A     192.0.2.1
@        3600 IN MX    10 mx.example.net.
@        3600 IN MX    20 mx2.example.net.
*        3600 IN HTTPS 1 . alpn=h2,h3
_dmarc   3600 IN TXT   "v=DMARC1; p=none"
www10    3600 IN CNAME example.com.
www9        1 IN A     192.0.2.9 ; cf_tags=cf-proxied:true
"#
    );
    assert_eq!(
        write(&zone, Format::Octodns),
        r#"---
'':
  - ttl: 3600
    type: A
    value: 192.0.2.1
  - ttl: 3600
    type: MX
    values:
      - exchange: mx.example.net.
        preference: 10
      - exchange: mx2.example.net.
        preference: 20
'*':
  ttl: 3600
  type: HTTPS
  value:
    svcparams:
      alpn: [h2, h3]
    svcpriority: 1
    targetname: '.'
_dmarc:
  ttl: 3600
  type: TXT
  value: 'v=DMARC1\; p=none'
www9:
  octodns:
    cloudflare:
      auto-ttl: true
      proxied: true
  type: A
  value: 192.0.2.9
www10:
  ttl: 3600
  type: CNAME
  value: example.com.
"#
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_the_same(zone in zone()) {
        if zone.records.is_empty() {
            return Ok(());
        }
        for format in [Format::Bind, Format::Octodns] {
            let mut wanted = zone.clone();
            if format == Format::Octodns {
                wanted.records.retain(|record| record.kind != RecordType::Soa);
                if wanted.records.is_empty() {
                    continue;
                }
            }
            let text = write(&wanted, format);
            let file = read(&text, format, &zone.name, &zone.limits)
                .unwrap_or_else(|error| panic!("{text}\n{error} {:?}", error.details_value()));
            let again = Zone::new(zone.name.clone(), zone.limits).with(file.records);
            prop_assert!(again.holds_the_same(&wanted), "{}\n{:#?}\n{:#?}", text, again.records, wanted.records);
        }
    }

    #[test]
    fn no_file_makes_it_panic(text in "[\\PC\n\t]{0,200}|([a-c@\"();$ \n\\\\0-9:\\[\\]{}&*'-]|type: A|value: |octodns: |IN |MX |TXT |\\$ORIGIN ){0,60}") {
        for format in [Format::Bind, Format::Octodns] {
            read(&text, format, &zone_name(), &Limits::default()).ok();
        }
    }
}

#[test]
fn structured_values_go_both_ways_and_names_are_in_octodns_order() {
    let text = r#"---
'':
  ttl: 300
  type: NAPTR
  value:
    flags: U
    order: 100
    preference: 10
    regexp: '!^.*$!sip:info@example.com!'
    replacement: '.'
    service: 'SIP+D2U'
'9a':
  ttl: 300
  type: LOC
  value:
    altitude: 20
    lat_degrees: 31
    lat_direction: S
    lat_minutes: 58
    lat_seconds: '52.1'
    long_degrees: 115
    long_direction: E
    long_minutes: 49
    long_seconds: '11.7'
    precision_horz: 10
    precision_vert: 2
    size: 10
'*':
  ttl: 300
  type: SSHFP
  value:
    algorithm: 1
    fingerprint: bf6b6825
    fingerprint_type: 2
a:
  ttl: 300
  type: DS
  value:
    algorithm: 13
    digest: abcd
    digest_type: 2
    key_tag: 4711
a9:
  ttl: 300
  type: A
  value: 192.0.2.1
a10:
  ttl: 300
  type: A
  value: 192.0.2.1
a-b:
  ttl: 300
  type: A
  value: 192.0.2.1
"#;
    let file = read_yaml(text);
    let zone = Zone::new(zone_name(), Limits::default()).with(file.records);
    assert_eq!(write(&zone, Format::Octodns), text);
    let bind = write(&zone, Format::Bind);
    assert!(
        bind.contains("LOC   31 58 52.1 S 115 49 11.7 E 20m 10m 10m 2m"),
        "{bind}"
    );
    let again = zone.clone().with(read_bind(&bind).records);
    assert!(again.holds_the_same(&zone));
}
