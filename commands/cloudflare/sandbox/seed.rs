//! What the sandbox begins with: the zones of a small business, good ones and neglected ones.

use std::collections::BTreeMap;

use medtainer_core::sandbox::scramble;
use serde_json::{Value, json};

use super::records::{Record, proxiable};
use super::world::{Plan, World, Zone};

/// 2026-11-20T12:00:00Z: nothing seeded is younger.
pub(super) const ANCHOR_MS: i64 = 1_795_176_000_000;
const DAY_MS: i64 = 86_400_000;

const FREE: Plan = ("free", "Free Website", 200);
const PRO: Plan = ("pro", "Pro Website", 3_500);
const BUSINESS: Plan = ("business", "Business Website", 3_500);
const ENTERPRISE: Plan = ("enterprise", "Enterprise Website", 1_000_000);

/// A zone and what is right or wrong with it.
struct Draft {
    name: &'static str,
    account: usize,
    plan: Plan,
    status: &'static str,
    dnssec: &'static str,
    ssl: &'static str,
    always_https: &'static str,
    min_tls: &'static str,
    lines: &'static [Line],
}

/// A record: name below the zone, type, TTL (0 proxied, 1 automatic), value.
type Line = (&'static str, &'static str, u32, &'static str);

/// 2,048 bits, as keys are now: longer than one text of a TXT record may be.
const DKIM: &str = "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAulkAnglcFhI1LoUbASvmwjS/rqOymPVkKYPHQ9Xt3lR0pl3y2UIyjYt3zCKsNjndLlMqKHWmaKqmhMl95aV0iPQnYA8z4NHPYf+sFpC7OTy1TNVWqkHO+L2H69j4lMZRdpe7CRXSWPujSgPrbaJCtElsGteDVuSromVGnH21vBfoVAvfp7VpAYyyXtzeBfp15/5NcdgZ0Ayca4rk4dC4Fe2boyZfQLZBTUiRrLMNVaOqZ8wHcobcWVUyT6e7p/TCQHOkICA5SMs4pXeRBUinczXajGng0VMejmZxoXetAoNhNnRcwVZ3+Lg7Mpw75Vqg+1h5Mhj4UkzaeQED++rctwIDAQAB";

/// What the mail provider of the clinic keeps for it, a zone that is not at Cloudflare.
pub(super) const ELSEWHERE: (&str, &str, &str) = (
    "medtainerclinic.onmicrosoft.com",
    "selector1-medtainerclinic-example._domainkey",
    "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxMUGQC/YmpB+rkzW6BvNDhE0GbYKp81uJsDxVTz3g0qvYWEXx00rK7G7dl1Q6RNftiC3rLueu5G6nxRt2Hy4q+OJqczmDFeufwDj6GpwAkv+uae5uc1VHIyS9+zKpemlIgU6DOKAwQgqXKNHbVwcN4t0itga04HjjwvH8A9sCWoMBoIBlaCeMOAjOX8V6Gu4NXdXatFF+gLEPnab5FYloOd5ey8TcysysYEZZw2TYSKYPZq9fYKuDDr+try0nJJvW+7w1iDIKvH2yRM58GebNKQbBVdUk5+S3el7vZucnbcVXDdCgHpG3fUov65GsD09FHRbiree1ka79M/BcoBk1QIDAQAB",
);

/// The good one: signed, strict, all of its mail settled.
const MAIN: &[Line] = &[
    ("@", "A", 0, "198.18.113.10"),
    ("@", "AAAA", 0, "2001:2:0:10::10"),
    ("www", "CNAME", 0, "medtainer.example"),
    ("api", "A", 0, "198.18.113.11"),
    ("vpn", "A", 300, "198.18.113.200"),
    ("status", "CNAME", 3600, "medtainer.github.io"),
    ("@", "MX", 3600, "1 aspmx.l.google.com"),
    ("@", "MX", 3600, "5 alt1.aspmx.l.google.com"),
    ("@", "MX", 3600, "10 alt2.aspmx.l.google.com"),
    ("@", "TXT", 3600, "v=spf1 include:_spf.google.com -all"),
    (
        "@",
        "TXT",
        3600,
        "google-site-verification=Zr8sD0hWq2LxVt5nYbC7uEoJ1mKfPaRg3iTc9XyNvHs",
    ),
    ("google._domainkey", "TXT", 3600, DKIM),
    (
        "_dmarc",
        "TXT",
        3600,
        "v=DMARC1; p=reject; rua=mailto:dmarc@medtainer.example; adkim=s; aspf=s",
    ),
    ("_mta-sts", "TXT", 3600, "v=STSv1; id=20260901T000000"),
    (
        "_smtp._tls",
        "TXT",
        3600,
        "v=TLSRPTv1; rua=mailto:tls@medtainer.example",
    ),
    ("mta-sts", "CNAME", 0, "medtainer.example"),
    ("@", "CAA", 3600, "0 issue letsencrypt.org"),
    ("@", "CAA", 3600, "0 issue pki.goog"),
    (
        "@",
        "CAA",
        3600,
        "0 iodef mailto:security@medtainer.example",
    ),
    ("_sip._tcp", "SRV", 3600, "10 5 5060 sip.medtainer.example"),
    ("sip", "A", 3600, "198.18.113.60"),
];

/// The neglected one: two SPF records, no DMARC, a name that anybody may take over, an origin in the open.
const STORE: &[Line] = &[
    ("@", "A", 0, "198.18.51.20"),
    ("www", "A", 1, "198.18.51.20"),
    ("origin", "A", 1, "198.18.51.20"),
    ("old-shop", "CNAME", 1, "medtainer-old-shop.herokudns.com"),
    ("promo", "CNAME", 1, "medtainer-promo.azurewebsites.net"),
    ("*", "CNAME", 0, "medtainer-store.example"),
    ("@", "MX", 1, "10 mail.medtainer-store.example"),
    ("mail", "CNAME", 0, "medtainer-store.example"),
    (
        "@",
        "TXT",
        1,
        "v=spf1 include:_spf.google.com include:sendgrid.net ~all",
    ),
    ("@", "TXT", 1, "v=spf1 ip4:198.18.51.20 +all"),
    ("cdn", "CNAME", 86400, "shops.myshopify.com"),
    ("pay", "A", 60, "198.18.51.21"),
    ("pay", "A", 60, "198.18.51.22"),
];

/// The unfinished one: the DS record never reached the registrar, DMARC only watches.
const CLINIC: &[Line] = &[
    ("@", "A", 0, "198.18.113.40"),
    ("www", "CNAME", 0, "medtainer-clinic.example"),
    ("portal", "CNAME", 0, "medtainer-clinic.example"),
    ("direct", "A", 300, "198.18.113.40"),
    (
        "@",
        "MX",
        1,
        "0 medtainerclinic-example.mail.protection.outlook.com",
    ),
    (
        "@",
        "TXT",
        1,
        "v=spf1 include:spf.protection.outlook.com -all",
    ),
    (
        "selector1._domainkey",
        "CNAME",
        3600,
        "selector1-medtainerclinic-example._domainkey.medtainerclinic.onmicrosoft.com",
    ),
    (
        "_dmarc",
        "TXT",
        1,
        "v=DMARC1; p=none; rua=mailto:it@medtainer-clinic.example",
    ),
    ("autodiscover", "CNAME", 3600, "autodiscover.outlook.com"),
    ("lab", "NS", 86400, "ns1.medtainer-labs.example"),
    ("lab", "NS", 86400, "ns2.medtainer-labs.example"),
    ("@", "CAA", 1, "0 issue digicert.com"),
];

const LABS: &[Line] = &[
    ("@", "A", 0, "198.18.113.70"),
    ("www", "CNAME", 0, "medtainer-labs.example"),
    ("ns1", "A", 86400, "198.18.113.71"),
    ("ns2", "A", 86400, "198.18.113.72"),
    ("@", "TXT", 1, "v=spf1 -all"),
    ("_dmarc", "TXT", 1, "v=DMARC1; p=reject"),
];

/// An agency began to take the domain over and never finished.
const LABS_AT_THE_AGENCY: &[Line] = &[
    ("@", "A", 0, "198.18.2.44"),
    ("www", "CNAME", 0, "medtainer-labs.example"),
];

/// Without web or mail, and says so; only its certificate is off.
const PARKED: &[Line] = &[
    ("@", "A", 0, "192.0.2.1"),
    ("www", "CNAME", 0, "medtainer-parked.example"),
    ("@", "TXT", 1, "v=spf1 -all"),
    ("_dmarc", "TXT", 1, "v=DMARC1; p=reject"),
];

const ACCENTED: &[Line] = &[
    ("@", "A", 0, "198.18.113.10"),
    ("www", "CNAME", 0, "xn--mdtainer-b1a.example"),
    ("@", "TXT", 1, "v=spf1 -all"),
];

const PORTAL: &[Line] = &[
    ("@", "A", 0, "198.18.113.90"),
    ("www", "CNAME", 0, "medtainer-portal.example"),
    ("edge", "A", 0, "198.18.113.91"),
    ("@", "TXT", 1, "v=spf1 -all"),
    ("_dmarc", "TXT", 1, "v=DMARC1; p=reject"),
    ("@", "CAA", 1, "0 issue letsencrypt.org"),
];

const DRAFTS: &[Draft] = &[
    draft("medtainer.example", PRO, "active", "strict", MAIN),
    Draft {
        always_https: "off",
        min_tls: "1.0",
        ..draft(
            "medtainer-store.example",
            FREE,
            "disabled",
            "flexible",
            STORE,
        )
    },
    draft(
        "medtainer-clinic.example",
        BUSINESS,
        "pending",
        "full",
        CLINIC,
    ),
    draft("medtainer-labs.example", FREE, "disabled", "strict", LABS),
    Draft {
        account: 1,
        status: "pending",
        ..draft(
            "medtainer-labs.example",
            FREE,
            "disabled",
            "full",
            LABS_AT_THE_AGENCY,
        )
    },
    draft("medtainer-parked.example", FREE, "disabled", "off", PARKED),
    draft(
        "xn--mdtainer-b1a.example",
        FREE,
        "active",
        "strict",
        ACCENTED,
    ),
    draft(
        "medtainer-portal.example",
        ENTERPRISE,
        "active",
        "strict",
        PORTAL,
    ),
];

const fn draft(
    name: &'static str,
    plan: Plan,
    dnssec: &'static str,
    ssl: &'static str,
    lines: &'static [Line],
) -> Draft {
    Draft {
        name,
        account: 0,
        plan,
        status: "active",
        dnssec,
        ssl,
        always_https: "on",
        min_tls: "1.2",
        lines,
    }
}

/// The world with about so many records; with none there are no zones either.
///
/// All but the last zone are always the same; the last one is a portal whose customers have a name
/// each, as many as it takes.
pub(super) fn world(seed: u64, records: usize) -> World {
    let mut world = World::new(seed);
    if records == 0 {
        return world;
    }
    for draft in DRAFTS {
        let zone = zone(&mut world, draft, seed);
        world.zones.push(zone);
    }
    let written: usize = DRAFTS.iter().map(|draft| draft.lines.len()).sum();
    let width = records.to_string().len();
    for customer in 1..=records.saturating_sub(written) {
        let name = format!("c{customer:0width$}");
        add(
            &mut world,
            &name,
            "CNAME",
            0,
            "edge.medtainer-portal.example",
            seed,
        );
    }
    world
}

fn zone(world: &mut World, draft: &Draft, seed: u64) -> Zone {
    let id = world.next_id();
    let age =
        |round: u64| (scramble(seed ^ round ^ draft.lines.len() as u64) % 900) as i64 * DAY_MS;
    let created = ANCHOR_MS - 400 * DAY_MS - age(1);
    let mut zone = Zone {
        id,
        name: draft.name.to_owned(),
        status: draft.status.to_owned(),
        paused: false,
        account: draft.account,
        plan: draft.plan,
        registrar: "GoDaddy.com, LLC",
        created,
        modified: created + age(2) / 4,
        activated: (draft.status == "active").then_some(created + DAY_MS / 3),
        dnssec: draft.dnssec.to_owned(),
        ssl: draft.ssl.to_owned(),
        settings: BTreeMap::from([
            ("always_use_https", json!(draft.always_https)),
            ("min_tls_version", json!(draft.min_tls)),
            ("automatic_https_rewrites", json!("on")),
            ("tls_1_3", json!("on")),
        ]),
        records: Vec::new(),
    };
    for (name, kind, ttl, value) in draft.lines {
        push(&mut zone, world.next_id(), name, kind, *ttl, value, seed);
    }
    zone
}

fn add(world: &mut World, name: &str, kind: &str, ttl: u32, value: &str, seed: u64) {
    let id = world.next_id();
    if let Some(zone) = world.zones.last_mut() {
        push(zone, id, name, kind, ttl, value, seed);
    }
}

fn push(zone: &mut Zone, id: String, name: &str, kind: &str, ttl: u32, value: &str, seed: u64) {
    let proxied = ttl == 0 && proxiable(kind);
    let mut body = json!({"name": name, "type": kind, "ttl": ttl.max(1), "proxied": proxied});
    let mut words = value.split(' ');
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    match kind {
        "MX" => {
            body["priority"] = json!(number());
            body["content"] = words.next().into();
        }
        "CAA" => {
            body["data"] = json!({"flags": number(), "tag": words.next(), "value": words.next()});
        }
        "SRV" => {
            let (priority, weight, port) = (number(), number(), number());
            body["data"] = json!({
                "priority": priority, "weight": weight, "port": port, "target": words.next(),
            });
        }
        _ => body["content"] = Value::from(value),
    }
    // The seeds pass the rules that callers have to pass; a test below says so.
    if let Ok(mut record) = Record::made(zone, &body, None) {
        let age = scramble(seed ^ zone.records.len() as u64) % 300;
        record.born(id, ANCHOR_MS - age as i64 * DAY_MS);
        zone.records.push(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_passes_the_rules() {
        let world = world(1, 1_206);
        let count: usize = world.zones.iter().map(|zone| zone.records.len()).sum();
        assert_eq!(count, 1_206);
        for zone in &world.zones {
            for record in &zone.records {
                record.check_beside(zone.records.iter()).unwrap();
            }
            assert!(zone.records.len() <= zone.plan.2, "{}", zone.name);
        }
    }

    #[test]
    fn one_seed_gives_one_world() {
        let ids = |seed| -> Vec<_> {
            world(seed, 200)
                .zones
                .into_iter()
                .map(|zone| zone.id)
                .collect()
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert!(world(1, 0).zones.is_empty());
    }
}
