//! What the account holds at the start: invented, and the same for the same seed.

use chrono::{DateTime, Duration, Utc};
use medtainer_core::sandbox::scramble;
use serde_json::{Value, json};

use super::world::{Domain, Record};
use super::zones;

/// A domain with a story.
struct Featured {
    name: &'static str,
    status: &'static str,
    /// Days from today to its expiry.
    expires: i64,
    auto: bool,
    locked: bool,
    privacy: bool,
    nameservers: Nameservers,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nameservers {
    Ours,
    Cloudflare,
    /// Others, and no zone here.
    Elsewhere,
}

const fn featured(name: &'static str, expires: i64) -> Featured {
    Featured {
        name,
        status: "ACTIVE",
        expires,
        auto: true,
        locked: true,
        privacy: true,
        nameservers: Nameservers::Ours,
    }
}

const FEATURED: &[Featured] = &[
    featured("harborandpine.com", 203),
    featured("harborpine.com", 412),
    featured("harborpine.net", 88),
    Featured {
        nameservers: Nameservers::Cloudflare,
        ..featured("harborpine.shop", 264)
    },
    Featured {
        nameservers: Nameservers::Elsewhere,
        privacy: false,
        ..featured("harborpine.store", 131)
    },
    featured("lakehousetables.com", 27),
    Featured {
        status: "CANCELLED_REDEEMABLE",
        auto: false,
        locked: false,
        ..featured("oldsawmill.com", -21)
    },
    Featured {
        auto: false,
        ..featured("pinejoinery.com", 12)
    },
    Featured {
        status: "PENDING_TRANSFER_OUT",
        auto: false,
        locked: false,
        ..featured("rivertownframes.com", 54)
    },
    Featured {
        locked: false,
        ..featured("walnutandoak.com", 365)
    },
    featured("workshop-classes.com", 730),
    Featured {
        status: "HELD_EXPIRATION_PROTECTION",
        ..featured("workshopclasses.org", 3)
    },
    featured("xn--tischlerei-mnchen-e3b.de", 300),
];

/// How many domains there are unless somebody says.
pub(super) const DOMAINS: usize = FEATURED.len();

/// The domains of the account, in the order of their names.
pub(super) fn domains(count: usize, seed: u64, today: DateTime<Utc>) -> Vec<Domain> {
    let mut domains: Vec<Domain> = FEATURED
        .iter()
        .take(count)
        .zip(0..)
        .map(|(featured, number)| domain(featured, number, seed, today))
        .collect();
    for number in DOMAINS..count {
        let dice = scramble(seed ^ (number as u64) << 8);
        let word = |words: &[&'static str], at: u32| words[(dice >> at) as usize % words.len()];
        let name = format!(
            "{}{}{number}.{}",
            word(FIRST, 0),
            word(SECOND, 8),
            word(TLDS, 16)
        );
        let mut made = domain(
            &featured("", 30 + (dice >> 24) as i64 % 700),
            number as u64,
            seed,
            today,
        );
        made.name = name;
        made.zone = Some(zone(&made.name, zones::USUAL));
        domains.push(made);
    }
    domains.sort_by(|a, b| a.name.cmp(&b.name));
    domains
}

const FIRST: &[&str] = &[
    "oak", "cedar", "harbor", "stone", "river", "maple", "north", "field",
];
const SECOND: &[&str] = &[
    "craft", "works", "house", "supply", "studio", "goods", "lane", "mill",
];
const TLDS: &[&str] = &["com", "net", "org", "shop", "co.uk"];

fn domain(featured: &Featured, number: u64, seed: u64, today: DateTime<Utc>) -> Domain {
    let nameservers: &[&str] = match featured.nameservers {
        Nameservers::Ours => &["ns01.domaincontrol.com", "ns02.domaincontrol.com"],
        Nameservers::Cloudflare => &["ada.ns.cloudflare.com", "rob.ns.cloudflare.com"],
        Nameservers::Elsewhere => &["ns1.registrarhost.example", "ns2.registrarhost.example"],
    };
    let expires = today + Duration::days(featured.expires) + Duration::hours(17);
    let created = expires - Duration::days(365 * (2 + (scramble(seed ^ number) % 9) as i64));
    let lines = zones::ZONES
        .iter()
        .find(|(name, _)| *name == featured.name)
        .map_or(zones::USUAL, |(_, lines)| lines);
    Domain {
        name: featured.name.to_owned(),
        id: 300_000_000 + number,
        status: featured.status.to_owned(),
        created,
        expires,
        modified: created + Duration::days(40),
        renew_auto: featured.auto,
        locked: featured.locked,
        privacy: featured.privacy,
        nameservers: nameservers.iter().map(|&name| name.to_owned()).collect(),
        contact: contact(number, seed),
        zone: (featured.nameservers != Nameservers::Elsewhere && !featured.name.is_empty())
            .then(|| zone(featured.name, lines)),
    }
}

/// What a zone of these lines has, what the provider puts into each included.
fn zone(domain: &str, lines: &str) -> Vec<Record> {
    let own = ["ns01.domaincontrol.com", "ns02.domaincontrol.com"];
    let mut records: Vec<Record> = own
        .iter()
        .map(|server| Record::new("NS", "@", *server, 3_600))
        .collect();
    let soa = "Primary nameserver: ns01.domaincontrol.com.";
    records.push(Record::new("SOA", "@", soa, 3_600));
    records.extend(
        lines
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| Record::of_line(domain, line)),
    );
    records
}

fn contact(number: u64, seed: u64) -> Value {
    let people = [
        ("Rosalind", "Harbor", "rosalind"),
        ("Theo", "Pine", "theo"),
        ("Marguerite", "Okafor", "marguerite"),
    ];
    let (first, last, mailbox) =
        people[(scramble(seed ^ number << 4) % people.len() as u64) as usize];
    json!({
        "nameFirst": first,
        "nameLast": last,
        "organization": "Harbor & Pine Woodworks LLC",
        "jobTitle": "Owner",
        "email": format!("{mailbox}@harborpine.com"),
        "phone": format!("+1.20755501{:02}", scramble(number) % 100),
        "addressMailing": {
            "address1": "14 Wharf Street",
            "address2": "Unit 3",
            "city": "Portland",
            "state": "ME",
            "postalCode": "04101",
            "country": "US",
        },
    })
}
