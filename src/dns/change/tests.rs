use proptest::prelude::*;

use super::*;
use crate::Kind;
use crate::dns::made::{made, zone, zone_name, zone_of};
use crate::dns::{Draft, Limits, Ttl};

fn authority(record: &Record) -> bool {
    record.kind == RecordType::Soa || record.kind == RecordType::Ns && record.name.is_apex()
}

const LINES: &[&str] = &[
    "@ 3600 SOA ns1.example.net. host.example.net. 1 2 3 4 5",
    "@ 3600 NS ns1.example.net",
    "@ 3600 A 192.0.2.1",
    "@ 3600 MX 10 mx1.example.net",
    "@ 3600 MX 20 mx2.example.net",
    "www 3600 CNAME example.com",
    "old 3600 A 192.0.2.9",
    "txt 3600 TXT one",
    "txt 3600 TXT two",
];

#[test]
fn a_whole_zone_a_set_or_an_addition() {
    let current = zone_of(LINES);
    let wanted = zone_of(&[
        "@ 300 A 192.0.2.1",
        "@ 3600 MX 10 mx1.example.net",
        "@ 3600 MX 30 mx3.example.net",
        "www 3600 CNAME other.example.net",
        "txt 3600 TXT one",
        "new 3600 AAAA 2001:db8::1",
    ])
    .records;
    let changes = diff(&current, &wanted, Mode::Zone).unwrap();
    assert_eq!(
        changes.text(),
        "example.com: 1 to add, 3 to change, 2 to delete
~ @   A     192.0.2.1 (ttl 3600 -> ttl 300)
~ @   MX    20 mx2.example.net -> 30 mx3.example.net (ttl 3600)
+ new AAAA  2001:db8::1 (ttl 3600)
- old A     192.0.2.9 (ttl 3600)
- txt TXT   \"two\" (ttl 3600)
~ www CNAME example.com -> other.example.net (ttl 3600)
"
    );
    assert_eq!(changes.counts(), (1, 3, 2));
    // Only the sets that are named.
    let changes = diff(&current, &wanted, Mode::Sets).unwrap();
    assert_eq!(changes.counts(), (1, 3, 1));
    assert!(!changes.text().contains("old"));
    // Nothing goes; a second CNAME is no addition.
    let error = diff(&current, &wanted, Mode::Add).unwrap_err();
    assert!(error.message().contains("more than one CNAME"), "{error}");
    let changes = diff(&current, &wanted[..3], Mode::Add).unwrap();
    assert_eq!(changes.counts(), (1, 1, 0));
    assert_eq!(
        diff(&current, &[], Mode::Add).unwrap().text(),
        "example.com: nothing to change\n"
    );
}

#[test]
fn the_provider_keeps_its_authority_unless_it_is_asked_for() {
    let current = zone_of(LINES);
    let mut wanted = current.records.clone();
    wanted[0] =
        zone_of(&["@ 3600 SOA ns1.example.net. host.example.net. 99 2 3 4 5"]).records[0].clone();
    wanted[1] = zone_of(&["@ 3600 NS ns2.example.net"]).records[0].clone();
    let changes = diff(&current, &wanted, Mode::Zone).unwrap();
    assert!(changes.is_empty());
    assert_eq!(changes.warnings.len(), 1);
    let changes = diff(&current, &wanted, Mode::ZoneAndAuthority).unwrap();
    assert_eq!(changes.counts(), (0, 2, 0));
    // Not named, not touched.
    let changes = diff(&current, &wanted[2..], Mode::ZoneAndAuthority).unwrap();
    assert!(changes.is_empty());
}

#[test]
fn what_is_not_said_stays() {
    let mut current = zone_of(&["www 1 A 192.0.2.1"]);
    current.records[0].proxied = Some(true);
    current.records[0].ttl = Some(Ttl::Automatic);
    current.records[0].id = Some("abc".to_owned());
    // A TTL means nothing where the provider stands in front.
    for wanted in [
        made("A", "www", "192.0.2.1"),
        zone_of(&["www 300 A 192.0.2.1"]).records[0].clone(),
    ] {
        assert!(diff(&current, &[wanted], Mode::Zone).unwrap().is_empty());
    }
    let changes = diff(&current, &[made("A", "www", "192.0.2.2")], Mode::Zone).unwrap();
    let after = changes.changes[0].after.as_ref().unwrap();
    assert_eq!(
        (after.proxied, after.ttl, after.id.as_deref()),
        (Some(true), Some(Ttl::Automatic), Some("abc"))
    );
    assert_eq!(
        changes.markdown(),
        "**example.com: 0 to add, 1 to change, 0 to delete**\n\n\
         | | Name | Type | Before | After |\n| --- | --- | --- | --- | --- |\n\
         | change | www | A | 192.0.2.1 (automatic ttl, proxied) | 192.0.2.2 (automatic ttl, proxied) |\n"
    );
}

#[test]
fn removing_names_what_is_there() {
    let current = zone_of(LINES);
    let txt = Owner::relative("txt");
    let both = remove(&current, &txt, &RecordType::Txt, None).unwrap();
    assert_eq!(both.counts(), (0, 0, 2));
    let one = made("TXT", "txt", "\"one\"");
    let changes = remove(&current, &txt, &RecordType::Txt, Some(&one)).unwrap();
    assert_eq!(changes.counts(), (0, 0, 1));
    let sets = changes.sets(&current).unwrap();
    assert_eq!(sets.len(), 1);
    assert_eq!((sets[0].before.len(), sets[0].after.len()), (2, 1));
    for (name, kind, hint) in [
        ("txt", RecordType::A, "`txt TXT`"),
        ("tct", RecordType::Txt, "Did you mean `txt`?"),
        ("nothing-of-the-kind", RecordType::A, "nothing under"),
    ] {
        let error = remove(&current, &Owner::relative(name), &kind, None).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
    }
    let error = remove(
        &current,
        &txt,
        &RecordType::Txt,
        Some(&made("TXT", "txt", "three")),
    )
    .unwrap_err();
    assert!(
        error.hint_text().unwrap().contains("`txt TXT \"one\"`"),
        "{error:?}"
    );
}

#[test]
fn the_brake_holds_from_ten_records_on() {
    let lines: Vec<_> = (0..10).map(|i| format!("h{i} 300 A 192.0.2.{i}")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let ten = zone_of(&lines);
    let keep = |zone: &Zone, n: usize| diff(zone, &zone.records[..n], Mode::Zone).unwrap();
    keep(&ten, 7).brake().unwrap();
    let error = keep(&ten, 6).brake().unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(
        error.message().starts_with("4 of the 10 records"),
        "{error}"
    );
    // Nine records may all go; what changes its value goes too, what changes its TTL does not.
    keep(&zone_of(&lines[1..]), 0).brake().unwrap();
    let turned = |value: fn(usize) -> String| {
        let lines: Vec<_> = (0..10).map(value).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        diff(&ten, &zone_of(&lines).records, Mode::Zone).unwrap()
    };
    turned(|i| format!("h{i} 300 A 198.51.100.{i}"))
        .brake()
        .unwrap_err();
    turned(|i| format!("h{i} 600 A 192.0.2.{i}"))
        .brake()
        .unwrap();
}

#[test]
fn a_set_that_goes_makes_place_for_what_comes() {
    let current = zone_of(&["www 300 CNAME example.net", "a 300 A 192.0.2.1"]);
    let wanted = zone_of(&["www 300 A 192.0.2.2", "a 300 A 192.0.2.1"]).records;
    let changes = diff(&current, &wanted, Mode::Zone).unwrap();
    let order: Vec<_> = changes
        .sets(&current)
        .unwrap()
        .into_iter()
        .map(|set| (set.kind.to_string(), set.after.len()))
        .collect();
    assert_eq!(order, [("CNAME".to_owned(), 0), ("A".to_owned(), 1)]);
    // Made for another state of the zone, it is refused.
    let moved = zone_of(&["www 600 CNAME example.net", "a 300 A 192.0.2.1"]);
    assert_eq!(changes.apply(&moved).unwrap_err().kind(), Kind::Conflict);
    assert_ne!(current.fingerprint(), moved.fingerprint());
    let other = diff(&moved, &wanted, Mode::Zone).unwrap();
    assert_ne!(changes.fingerprint(), other.fingerprint());
}

#[test]
fn records_and_changes_survive_json() {
    let mut record = made("MX", "@", "10 mail.example.com");
    record.ttl = Some(Ttl::Automatic);
    let json = serde_json::to_string(&record).unwrap();
    assert_eq!(
        json,
        r#"{"type":"MX","name":"@","data":"mail.example.com","priority":10,"ttl":"auto"}"#
    );
    assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
    let change = Change::delete(made("A", "www", "192.0.2.1"));
    assert_eq!(
        serde_json::to_string(&change).unwrap(),
        r#"{"action":"delete","before":{"type":"A","name":"www","data":"192.0.2.1"}}"#
    );
}

#[test]
fn nothing_shown_leaves_its_cell_or_steers_a_terminal() {
    let draft = Draft::new("TXT", "", "a|b\u{1b}[31m\nc");
    let odd = draft.accept(Owner::relative("w|w"), &zone_name());
    let current = Zone::new(zone_name(), Limits::default()).with(vec![odd]);
    let changes = diff(&current, &[], Mode::Zone).unwrap();
    assert!(!changes.text().contains('\u{1b}') && changes.text().lines().count() == 2);
    let row = changes.markdown().lines().last().unwrap().to_owned();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 6, "{row}");
}

/// A second state: some records stay, some change, some are of another zone.
fn turned() -> impl Strategy<Value = (Zone, Vec<Record>)> {
    (zone(), zone(), any::<u32>()).prop_map(|(current, other, mask)| {
        let mut wanted: Vec<Record> = current
            .records
            .iter()
            .enumerate()
            .filter(|(i, _)| mask >> (i % 32) & 1 == 1)
            .map(|(i, record)| Record {
                id: None,
                ttl: if i % 3 == 0 {
                    Some(Ttl::Seconds(77))
                } else {
                    record.ttl
                },
                ..record.clone()
            })
            .collect();
        wanted.extend(other.records.into_iter().take((mask % 5) as usize));
        (current, wanted)
    })
}

const MODES: [Mode; 4] = [Mode::Zone, Mode::ZoneAndAuthority, Mode::Sets, Mode::Add];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_goes_that_was_not_named((current, wanted) in turned()) {
        for mode in MODES {
            let Ok(changes) = diff(&current, &wanted, mode) else { continue };
            let after = changes.apply(&current).unwrap();
            for lost in current.records.iter().filter(|record| !after.records.iter().any(|there| there.says_the_same(record))) {
                let named = match mode {
                    Mode::Add => false,
                    Mode::Sets => wanted.iter().any(|record| record.set() == lost.set()),
                    Mode::Zone => !authority(lost),
                    Mode::ZoneAndAuthority => !authority(lost) || wanted.iter().any(|record| record.set() == lost.set()),
                };
                prop_assert!(named, "{mode:?} lost {lost}");
                // And it was not wanted.
                prop_assert!(!wanted.iter().any(|record| record.says_the_same(lost)));
                // And is one the change set names.
                prop_assert!(changes.changes.iter().any(|change| change.loses() && change.before.as_ref() == Some(lost)));
            }
            for record in &wanted {
                if mode != Mode::Zone || !authority(record) {
                    prop_assert!(after.records.iter().any(|there| record.says_the_same(there)), "{mode:?} left out {record}");
                }
            }
            if mode == Mode::Zone {
                prop_assert!(after.records.iter().all(|there| authority(there) || wanted.iter().any(|record| record.says_the_same(there))));
            }
        }
    }

    #[test]
    fn a_change_and_its_inverse_change_nothing((current, wanted) in turned()) {
        for mode in MODES {
            let Ok(changes) = diff(&current, &wanted, mode) else { continue };
            let after = changes.apply(&current).unwrap();
            let back = changes.inverse(&current).unwrap();
            prop_assert_eq!(&back.before, &after.fingerprint());
            let first = back.apply(&after).unwrap();
            prop_assert!(first.holds_the_same(&current));
            prop_assert_eq!(first.fingerprint(), current.fingerprint());
            // Done once, nothing is left to do.
            let again = diff(&after, &wanted, mode).unwrap();
            prop_assert!(again.is_empty(), "{mode:?}: {}", again.text());
        }
    }

    #[test]
    fn sets_say_the_same_as_records((current, wanted) in turned()) {
        for mode in MODES {
            let Ok(changes) = diff(&current, &wanted, mode) else { continue };
            // An API that replaces sets, told each of them.
            let mut told = current.clone();
            for set in changes.sets(&current).unwrap() {
                let before: Vec<_> = current.set(&set.name, &set.kind).collect();
                prop_assert_eq!(before.len(), set.before.len());
                prop_assert!(set.before != set.after);
                told.records.retain(|record| record.set() != (&set.name, &set.kind));
                told.records.extend(set.after);
            }
            prop_assert!(told.holds_the_same(&changes.apply(&current).unwrap()));
        }
    }

    #[test]
    fn removing_removes_one_set_or_one_value(current in zone(), pick in any::<prop::sample::Index>(), whole in any::<bool>()) {
        prop_assume!(!current.records.is_empty());
        let picked = pick.get(&current.records);
        let value = (!whole).then_some(picked);
        let changes = remove(&current, &picked.name, &picked.kind, value).unwrap();
        let after = changes.apply(&current).unwrap();
        for record in &current.records {
            let there = after.records.contains(record);
            let gone = if whole { record.set() == picked.set() } else { record.says_the_same(picked) };
            prop_assert_eq!(there, !gone, "{}", record);
        }
    }
}
