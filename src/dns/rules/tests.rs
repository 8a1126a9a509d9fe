use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::dns::made::{zone as made_zone, zone_name, zone_of};
use crate::dns::{Names, Offline, RecordType, Ttl, world};

const RSA_512: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALBIu5mfDKnyuU2aIb/AIkVwaKRRTDfcJwZxxUln6+xUcb7O65tnK0/AerKlyVro425vwoT5ZWMeUpzE25UoH+8CAwEAAQ==";
const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCepO0vHQ8Tv2oK4pWpWU0XYgYlKfMenOhobkb2bGOQPANXD5ElMAznMZ7WewEOK8hkPtEnEv1fZ0DYNaIg21uvZvaWEN2E4v98cxDHnWecXO6tvJCawxXWW+/vKJt6i2WQrskRAAIhNRxsf4uUwiWOwzFwtpx7pHTsuIP6pBiwBwIDAQAB";
const RSA_2048: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvGFVx8aMQJdOVNbbTgK5KpB8s/f6vB8TGYnAqR9pJo4Gmb/tEC+1/sMqQ7820xi78O2un+S988576fdNBfaNBl0U8wlp+VnhjkcxnRTnAKVlemjNDxdJEzjuFTrgRB2HRdgbzG/1gdxw/p5N+Ue7Vb2/khRh6l9hkFtxL71+suF950c59wEwKi69Y15vEIeS5UxpW0VaYSPU5KkX2MyB7DoPKcKMa8qaMcg0Y7J81VvwhhT/isQV78wpflZ3IBTX40xRDKA4gE56nwCOqVjqdPbYjd9815+XgWdpY7Mhv04+VNoVE5dnm+INkD5+iL4Wu4R3Y2q9jizSzJ4+OpQsQwIDAQAB";
const ED25519: &str = "FrJWYpeHvqNRX8WMrZLg2BHrMrhGnK4muZwGq8nIpDg=";

/// A zone with nothing to say about it.
fn sound() -> Vec<String> {
    [
        "@ 3600 SOA ns01.domaincontrol.com. dns.jomax.net. 1 2 3 4 5",
        "@ 3600 NS ns01.domaincontrol.com",
        "@ 3600 NS ns02.domaincontrol.com",
        "@ 3600 A 8.8.4.4",
        "@ 3600 AAAA 2606:4700::1111",
        "@ 3600 MX 1 aspmx.l.google.com",
        "@ 3600 MX 5 alt1.aspmx.l.google.com",
        "@ 3600 TXT v=spf1 include:_spf.google.com ~all",
        "@ 3600 CAA 0 issue \"letsencrypt.org\"",
        "_dmarc 3600 TXT v=DMARC1; p=quarantine; rua=mailto:dmarc@example.com",
        "www 3600 CNAME example.com",
        "blog 3600 CNAME someone.github.io",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([format!(
        "google._domainkey 3600 TXT v=DKIM1; k=rsa; p={RSA_2048}"
    )])
    .collect()
}

/// That zone without the lines that begin so, and with others.
fn zone(without: &[&str], with: &[&str]) -> Zone {
    let mut lines = sound();
    lines.retain(|line| !without.iter().any(|start| line.starts_with(start)));
    lines.extend(with.iter().map(|line| (*line).to_owned()));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut zone = zone_of(&lines);
    zone.authoritative = Some(true);
    zone.limits.apex_cname = false;
    zone
}

const SIGNED: Facts = Facts {
    dnssec: Some(Dnssec::Active),
};

/// The world, and a few domains of others.
fn others() -> Names {
    let names = Names::default();
    names.publish("world", &world());
    let other = |name: &str, lines: &[&str]| Zone {
        name: name.parse().unwrap(),
        ..zone_of(lines)
    };
    names.publish(
        "others",
        &[
            other(
                "example.net",
                &[
                    "@ 300 A 9.9.9.9",
                    "@ 300 MX 5 mx.example.net",
                    "mx 300 A 9.9.9.9",
                    "alias 300 CNAME mx.example.net",
                    "one 300 CNAME two.example.net",
                    "two 300 CNAME three.example.net",
                    "three 300 CNAME four.example.net",
                    "four 300 A 9.9.9.9",
                    "spf 300 TXT v=spf1 ip4:192.0.2.1 -all",
                    "back 300 TXT v=spf1 include:back2.example.net -all",
                    "back2 300 TXT v=spf1 include:back.example.net -all",
                    "broken 300 TXT v=spf1 ipv4:192.0.2.1 -all",
                    "twice 300 TXT v=spf1 -all",
                    "twice 300 TXT v=spf1 ~all",
                    "many 300 TXT v=spf1 include:few.example.net include:few2.example.net -all",
                    "few 300 TXT v=spf1 a:a.example.net a:b.example.net mx a -all",
                    "few2 300 TXT v=spf1 a mx exists:%{i}.x.example.net redirect=spf.example.net",
                    "few 300 A 9.9.9.9",
                    "few 300 MX 1 mx.example.net",
                    "few2 300 A 9.9.9.9",
                    "few2 300 MX 1 mx.example.net",
                    "a 300 A 9.9.9.9",
                    "b 300 A 9.9.9.9",
                    "keys 300 TXT v=DKIM1; p=",
                    "example.com._report._dmarc 300 TXT v=DMARC1",
                ],
            ),
            other("example.org", &["@ 300 A 9.9.9.9"]),
        ],
    );
    names
}

fn run(zone: &Zone, facts: Facts, lookup: &dyn Lookup) -> Report {
    // Neither sockets nor timers are in it.
    futures::executor::block_on(audit(zone, facts, lookup))
}

fn audited(zone: &Zone) -> Report {
    run(zone, SIGNED, &others())
}

fn found(report: &Report) -> Vec<String> {
    report
        .findings
        .iter()
        .map(|finding| finding.id.clone())
        .collect()
}

#[test]
fn a_sound_zone_has_no_findings() {
    let report = audited(&zone(&[], &[]));
    assert_eq!(report.findings, [], "{:#?}", report.findings);
    assert_eq!(report.unchecked, []);
    assert_eq!(report.counts(), (0, 0, 0));
    let mail = &report.mail;
    assert_eq!(mail.provider.as_deref(), Some("Google Workspace"));
    assert_eq!(mail.mx, ["aspmx.l.google.com", "alt1.aspmx.l.google.com"]);
    assert_eq!(
        (mail.spf.lookups, mail.spf.void_lookups),
        (Some(4), Some(0))
    );
    assert_eq!(mail.spf.includes.len(), 4);
    assert_eq!(mail.dkim.len(), 1);
    assert_eq!(
        (mail.dkim[0].valid, mail.dkim[0].bits),
        (Some(true), Some(2048))
    );
    assert_eq!(mail.dmarc.policy.as_deref(), Some("quarantine"));
    assert_eq!(mail.dmarc.dkim_alignment.as_deref(), Some("relaxed"));
    assert_eq!(mail.dmarc.reports, ["dmarc@example.com"]);
}

/// What breaks each rule: lines that go, lines that come, the ids of what is found.
struct Case {
    without: Vec<&'static str>,
    with: Vec<String>,
    ids: Vec<&'static str>,
}

fn broken() -> Vec<Case> {
    let keys = [
        ("{rsa-512}", RSA_512),
        ("{rsa-1024}", RSA_1024),
        ("{rsa-2048}", RSA_2048),
        ("{rsa-cut}", &RSA_2048[..200]),
        ("{ed25519}", ED25519),
    ];
    let mut cases = Vec::new();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for line in include_str!("broken.txt").lines() {
        if let Some(start) = line.strip_prefix("- ") {
            without.push(start);
        } else if let Some(line) = line.strip_prefix("+ ") {
            let filled = |text: String, (word, key): &(&str, &str)| text.replace(word, key);
            with.push(keys.iter().fold(line.to_owned(), filled));
        } else if let Some(ids) = line.strip_prefix("=") {
            cases.push(Case {
                without: std::mem::take(&mut without),
                with: std::mem::take(&mut with),
                ids: ids.split_whitespace().collect(),
            });
        }
    }
    cases
}

#[test]
fn each_rule_finds_what_it_is_for_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for Case { without, with, ids } in broken() {
        let with: Vec<_> = with.iter().map(String::as_str).collect();
        let report = audited(&zone(&without, &with));
        let mut there = found(&report);
        there.sort();
        assert_eq!(
            there, ids,
            "without {without:?}, with {with:?}: {:#?}",
            report.findings
        );
        assert_eq!(report.unchecked, [], "{with:?}");
        for finding in &report.findings {
            seen.insert(finding.rule.clone());
            let first = finding.message.chars().next().unwrap();
            assert!(
                finding.message.ends_with('.')
                    && (first.is_uppercase() || first == '`' || first.is_numeric()),
                "{}",
                finding.message
            );
            let rule = RULES.iter().find(|rule| rule.id == finding.rule).unwrap();
            assert_eq!(finding.severity, rule.severity, "{}", finding.rule);
        }
    }
    // Those that rest on more than records have tests of their own.
    seen.extend(
        [
            "dnssec-off",
            "dnssec-pending",
            "dnssec-broken",
            "ns-elsewhere",
            "ns-mismatch",
            "mx-target-proxied",
            "origin-exposed",
        ]
        .map(str::to_owned),
    );
    let all: BTreeSet<_> = RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert_eq!(all.len(), RULES.len(), "an id is there twice");
    assert_eq!(seen, all);
}

use super::ids::RULES;

#[test]
fn a_fix_mends_what_it_is_for_and_touches_nothing_else() {
    let mut fixes = 0;
    for Case { without, with, .. } in broken() {
        let with: Vec<_> = with.iter().map(String::as_str).collect();
        let zone = zone(&without, &with);
        let report = audited(&zone);
        for finding in report
            .findings
            .iter()
            .filter(|finding| !finding.fix.is_empty())
        {
            fixes += 1;
            let changes = finding
                .fix_of(&zone)
                .unwrap_or_else(|error| panic!("{}: {error}", finding.id));
            let mended = changes.apply(&zone).unwrap();
            let left = audited(&mended);
            assert!(!found(&left).contains(&finding.id), "{}", finding.id);
            let known = found(&report);
            for other in left
                .findings
                .iter()
                .filter(|other| !known.contains(&other.id))
            {
                // Who begins with DMARC begins softly.
                assert!(
                    ["dmarc-policy-none", "dmarc-no-reports"].contains(&other.rule.as_str()),
                    "{}: then {}",
                    finding.id,
                    other.id
                );
            }
            let gone = zone
                .records
                .iter()
                .filter(|record| !mended.records.contains(record));
            for record in gone {
                assert!(
                    finding.records.contains(record),
                    "{} takes {record}",
                    finding.id
                );
            }
        }
    }
    assert!(fixes >= 10, "{fixes}");
}

#[test]
fn fixes_are_what_an_expert_would_do() {
    let fix = |zone: &Zone, id: &str| {
        let report = audited(zone);
        let finding = report
            .findings
            .iter()
            .find(|finding| finding.id == id)
            .unwrap_or_else(|| panic!("{id}: {:?}", found(&report)));
        finding
            .fix_of(zone)
            .unwrap()
            .text()
            .lines()
            .skip(1)
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (without, with, id, text) in [
        (
            &["www"][..],
            &[][..],
            "www-missing/www",
            "+ www CNAME example.com (default ttl)",
        ),
        (
            &["@ 3600 TXT"],
            &[],
            "spf-missing/@",
            "+ @ TXT \"v=spf1 include:_spf.google.com ~all\" (default ttl)",
        ),
        (
            &["@ 3600 TXT", "@ 3600 MX"],
            &["@ 3600 MX 0 ."],
            "spf-missing/@",
            "+ @ TXT \"v=spf1 -all\" (default ttl)",
        ),
        (
            &["_dmarc"],
            &[],
            "dmarc-missing/_dmarc",
            "+ _dmarc TXT \"v=DMARC1; p=none\" (default ttl)",
        ),
        (
            &["_dmarc", "@ 3600 MX"],
            &["@ 3600 MX 0 ."],
            "dmarc-missing/_dmarc",
            "+ _dmarc TXT \"v=DMARC1; p=reject\" (default ttl)",
        ),
        (
            &["@ 3600 TXT"],
            &["@ 3600 TXT v=spf1 mx +all"],
            "spf-allows-all/@",
            "~ @ TXT \"v=spf1 mx +all\" -> \"v=spf1 mx ~all\" (ttl 3600)",
        ),
        (
            &[],
            &["@ 600 A 8.8.8.8"],
            "ttl-inconsistent/@/A",
            "~ @ A 8.8.4.4 (ttl 3600 -> ttl 600)",
        ),
        (
            &[],
            &["x 300 CNAME gone.example.org"],
            "cname-dangling/x/gone.example.org",
            "- x CNAME gone.example.org (ttl 300)",
        ),
    ] {
        assert_eq!(fix(&zone(without, with), id), text);
    }
}

#[test]
fn a_domain_without_mail_is_not_asked_for_keys() {
    let zone = zone(
        &["@ 3600 MX", "@ 3600 TXT", "_dmarc", "google"],
        &[
            "@ 3600 MX 0 .",
            "@ 3600 TXT v=spf1 -all",
            "_dmarc 3600 TXT v=DMARC1; p=reject; rua=mailto:a@example.com",
        ],
    );
    let report = audited(&zone);
    assert_eq!(report.findings, []);
    assert!(report.mail.refuses && report.mail.provider.is_none());
}

#[test]
fn what_rests_on_more_than_records() {
    let sound = zone(&[], &[]);
    let with = |dnssec| found(&run(&sound, Facts { dnssec }, &others()));
    assert_eq!(with(Some(Dnssec::Off)), ["dnssec-off/@"]);
    assert_eq!(with(Some(Dnssec::Pending)), ["dnssec-pending/@"]);
    assert_eq!(with(Some(Dnssec::Broken)), ["dnssec-broken/@"]);
    // Where nobody told, the registry and the name servers are asked.
    let unknown = run(&sound, Facts::default(), &others());
    assert_eq!(unknown.findings, []);
    assert_eq!(unknown.unchecked[0].rule, "dnssec-off");
    for (lines, ids) in [
        (&["@ 300 A 8.8.4.4"][..], &["dnssec-off/@"][..]),
        (&["@ 300 DS 1 13 2 abcd"], &["dnssec-broken/@"]),
        (&["@ 300 DNSKEY 257 3 13 abcd"], &["dnssec-pending/@"]),
        (&["@ 300 DNSKEY 257 3 13 abcd", "@ 300 DS 1 13 2 abcd"], &[]),
    ] {
        let names = others();
        names.publish("registry", &[zone_of(lines)]);
        let report = run(&sound, Facts::default(), &names);
        assert_eq!(found(&report), ids, "{lines:?}");
        assert_eq!(report.unchecked, []);
    }

    let mut elsewhere = zone(&["www"], &[]);
    elsewhere.authoritative = Some(false);
    elsewhere.nameservers = ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"]
        .map(|name| name.parse().unwrap())
        .into();
    let report = audited(&elsewhere);
    assert_eq!(found(&report), ["ns-elsewhere/@", "www-missing/www"]);
    assert!(
        report.findings[1]
            .message
            .ends_with("its name servers are elsewhere.")
    );
    elsewhere.authoritative = Some(true);
    assert_eq!(
        found(&audited(&elsewhere)),
        ["ns-mismatch/@", "www-missing/www"]
    );

    let mut proxied = zone(
        &[],
        &[
            "mail 300 A 8.8.4.4",
            "sub 300 MX 1 www2.example.com",
            "www2 300 A 8.8.8.8",
            "ssh 300 A 8.8.8.8",
        ],
    );
    for record in &mut proxied.records {
        let through = ["@", "www2"].contains(&record.name.as_str());
        if matches!(record.kind, RecordType::A | RecordType::Aaaa) {
            record.proxied = Some(through);
            record.ttl = if through {
                Some(Ttl::Automatic)
            } else {
                record.ttl
            };
        }
    }
    assert_eq!(
        found(&audited(&proxied)),
        [
            "mx-target-proxied/sub/www2.example.com",
            "origin-exposed/mail/8.8.4.4",
            "origin-exposed/ssh/8.8.8.8"
        ]
    );
}

#[test]
fn what_nobody_answered_is_not_fine() {
    let report = run(&zone(&[], &[]), Facts::default(), &Offline::default());
    assert_eq!(report.findings, [], "nothing is made up");
    assert_eq!(
        (report.mail.spf.lookups, report.mail.spf.void_lookups),
        (None, None)
    );
    let rules: Vec<_> = report
        .unchecked
        .iter()
        .map(|unchecked| unchecked.rule.as_str())
        .collect();
    assert_eq!(
        rules,
        [
            "cname-dangling",
            "dnssec-off",
            "mx-target-alias",
            "mx-target-missing",
            "ns-target-missing",
            "spf-include-missing",
            "spf-too-many-lookups",
            "spf-too-many-void-lookups",
        ]
    );
    let warning = report.unchecked_warning().unwrap();
    assert!(
        warning.starts_with(
            "not checked, because nothing is looked up offline: cname-dangling, dnssec-off"
        ),
        "{warning}"
    );
    // What the zone itself answers is found all the same, and so is what is already too much.
    let many: Vec<_> = (0..11)
        .map(|i| format!("include:s{i}.example.net"))
        .collect();
    let spf = format!("@ 3600 TXT v=spf1 {} ~all", many.join(" "));
    let zone = zone(
        &["@ 3600 TXT"],
        &[
            &spf,
            "sub 300 MX 1 none.example.com",
            "a 300 CNAME gone.example.com",
        ],
    );
    let report = run(&zone, SIGNED, &Offline::default());
    assert_eq!(
        found(&report),
        [
            "mx-target-missing/sub/none.example.com",
            "spf-too-many-lookups/@",
            "cname-dangling/a/gone.example.com"
        ]
    );
    assert_eq!(report.mail.spf.lookups, None);
    assert!(
        report
            .unchecked
            .iter()
            .any(|unchecked| unchecked.rule == "spf-provider-missing")
    );
}

#[test]
fn names_left_to_others_are_asked_of_others() {
    // The zone delegates `shop`; what is below it is not missing only because it is not here.
    let zone = zone(
        &[],
        &[
            "shop 3600 NS ns01.domaincontrol.com",
            "shop 3600 NS ns02.domaincontrol.com",
            "buy 300 CNAME www.shop.example.com",
        ],
    );
    let report = audited(&zone);
    assert_eq!(report.findings, []);
    assert_eq!(report.unchecked.len(), 1, "{:?}", report.unchecked);
    let names = others();
    names.publish(
        "shop",
        &[Zone {
            name: "shop.example.com".parse().unwrap(),
            ..zone_of(&["www 300 A 9.9.9.9"])
        }],
    );
    let report = run(&zone, SIGNED, &names);
    assert_eq!((report.findings, report.unchecked), (vec![], vec![]));
}

#[test]
fn a_report_is_lean_json() {
    let report = audited(&zone(&["www"], &[]));
    let json = serde_json::to_value(&report).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["id"], "www-missing/www");
    assert_eq!(finding["severity"], "info");
    assert_eq!(finding["fix"][0]["after"]["data"], "example.com");
    assert!(finding.get("records").is_none());
    assert_eq!(json["mail"]["spf"]["lookups"], 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_zone_gives_the_same_report(zone in made_zone(), turn in any::<prop::sample::Index>()) {
        let first = run(&zone, SIGNED, &others());
        let mut turned = zone.clone();
        if !turned.records.is_empty() {
            let by = turn.index(turned.records.len());
            turned.records.rotate_left(by);
        }
        let second = run(&turned, SIGNED, &others());
        prop_assert_eq!(found(&first), found(&second));
        prop_assert_eq!(&first.unchecked, &second.unchecked);
        let mut ids = found(&first);
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), first.findings.len());
        // Every fix fits the zone it is for, and takes away nothing that the finding does not show.
        for finding in &first.findings {
            for change in &finding.fix {
                prop_assert!(change.before.as_ref().is_none_or(|before| finding.records.contains(before)));
            }
            if let Ok(changes) = finding.fix_of(&zone) {
                prop_assert!(changes.apply(&zone).is_ok());
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "v=(spf1|DKIM1|DMARC1)[ -~]{0,80}", more in "[ -~]{0,30}") {
        let mut zone = Zone::new(zone_name(), Default::default());
        for name in ["@", "_dmarc", "google._domainkey"] {
            let draft = crate::dns::Draft::new("TXT", "", format!("{text}{more}"));
            zone.records.push(draft.accept(Owner::relative(name), &zone.name));
        }
        run(&zone, SIGNED, &others());
    }
}
