//! Inventing people: every contact follows from the seed and its number.

use chrono::NaiveDate;
use medtainer_core::sandbox::scramble;
use serde_json::json;
use unicode_normalization::UnicodeNormalization;

use super::collection::Seed;
use super::contacts::{Contact, Text};
use super::ids::{self, Dice, Kind};
use super::{ANCHOR_MS, fixed, names};

const DAY: i64 = 86_400_000;
/// The seeded records spread over three years.
const SPAN: i64 = 3 * 365 * DAY;

/// When a seeded contact was added and last changed; cheaper than the whole contact.
pub(super) fn dates(seed: &Seed, number: u64) -> (i64, i64) {
    let mut dice = Dice::new(seed.seed, 1, number);
    let added = if dice.percent(6) {
        // An import puts many contacts into the same millisecond: cursors must survive ties.
        ANCHOR_MS - SPAN + (1 + dice.below(9) as i64) * 117 * DAY
    } else {
        ANCHOR_MS - 1 - dice.below(SPAN as u64) as i64
    };
    let updated = match dice.below(10) {
        0..=2 => added,
        3..=4 => ANCHOR_MS - 1 - dice.below((45 * DAY).min(ANCHOR_MS - added) as u64) as i64,
        _ => added + dice.below((ANCHOR_MS - added) as u64) as i64,
    };
    (added, updated)
}

/// The letters of a name that fit into an address.
fn slug(name: &str) -> String {
    if name.is_ascii() {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        return letters.map(|letter| letter.to_ascii_lowercase()).collect();
    }
    name.nfd()
        .filter_map(|letter| match letter {
            'ß' => Some('s'),
            'ø' | 'Ø' => Some('o'),
            'ł' | 'Ł' => Some('l'),
            'đ' | 'Đ' => Some('d'),
            'ı' => Some('i'),
            letter if letter.is_ascii_alphanumeric() => Some(letter.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// The name of a company and its domain; all of them are different.
fn company(number: u64) -> (String, String) {
    let first = names::COMPANY_FIRST;
    let middle = names::COMPANY_MIDDLE;
    let last = names::COMPANY_LAST;
    // The three lengths share no factor, so counting in all of them at once meets every
    // combination before it repeats one.
    let name = format!(
        "{} {} {}",
        first[(number * 5 % first.len() as u64) as usize],
        middle[(number * 7 % middle.len() as u64) as usize],
        last[(number * 11 % last.len() as u64) as usize],
    );
    let round = number / (first.len() * middle.len() * last.len()) as u64;
    if round == 0 {
        let domain = format!("{}.example", slug(&name));
        return (name, domain);
    }
    let (city, ..) = names::PLACES[(round % names::PLACES.len() as u64) as usize];
    let domain = format!("{}{}.example", slug(&name), slug(city));
    (format!("{name} of {city}"), domain)
}

/// The two contacts who are different people of the same name.
pub(super) const NAMESAKES: [u64; 2] = [3, 41];

/// Invents the contact of a number.
pub(super) fn invent(seed: &Seed, number: u64) -> Contact {
    let (date_added, date_updated) = dates(seed, number);
    let mut contact = Contact {
        number,
        id: ids::encode(Kind::Contact, number),
        kind: Text::Borrowed("lead"),
        date_added,
        date_updated,
        ..Default::default()
    };
    let dice = &mut Dice::new(seed.seed, 2, number);
    let (city, state, postal, zone) = *dice.pick(names::PLACES);
    let phone = phone(seed, number);
    // About one in ninety is a bare row: somebody once typed a telephone number or an address.
    if number % 89 == 13 {
        if number.is_multiple_of(2) {
            contact.phone = Some(phone.into());
        } else {
            contact.email = Some(format!("info{number}@inbox.example").into());
        }
        return contact;
    }
    let (company_name, domain) = company(number / 3);
    contact.country = Some("US".into());
    contact.city = Some(city.into());
    contact.state = Some(state.into());
    contact.source = dice
        .percent(85)
        .then(|| (*dice.pick(names::SOURCES)).into());
    contact.assigned_to = dice.percent(60).then(|| {
        fixed::USERS[dice.below(fixed::USERS.len() as u64) as usize]
            .id
            .into()
    });
    if dice.percent(70) {
        contact.timezone = Some(zone.into());
    }
    if number % 53 == 8 {
        contact.email = Some(format!("office@{domain}").into());
        contact.website = Some(format!("https://www.{domain}").into());
        contact.company_name = Some(company_name.into());
        contact.phone = Some(phone.into());
        contact.kind = "customer".into();
        return contact;
    }

    // Two throws, the smaller wins: the first cultures are the most common.
    let many = names::CULTURES.len() as u64;
    let culture = &names::CULTURES[dice.below(many).min(dice.below(many)) as usize];
    let (mut first, mut last) = (*dice.pick(culture.firsts), *dice.pick(culture.lasts));
    if NAMESAKES.contains(&number) {
        (first, last) = ("María", "García");
    }
    let mut shown = Text::Borrowed(first);
    if let Some((_, nickname)) = names::NICKNAMES.iter().find(|(formal, _)| *formal == first) {
        match dice.below(10) {
            0..=2 => shown = Text::Borrowed(nickname),
            3 => shown = format!("{first} \"{nickname}\"").into(),
            _ => {}
        }
    }
    let works = dice.percent(55);
    let (first_slug, last_slug) = (slug(first), slug(last));
    let mail_name = match (first_slug.is_empty(), dice.below(3)) {
        (true, _) => "contact".to_owned(),
        (_, 0) => format!("{}.{}", first_slug, last_slug),
        (_, 1) => format!("{}{}", &first_slug[..1], last_slug),
        _ => first_slug,
    };
    let personal = format!(
        "{mail_name}{}@{}.example",
        number + 10,
        dice.pick(&["inbox", "mail", "post"])
    );
    let at_work = format!(
        "{mail_name}{}@{domain}",
        ["", ".2", ".3"][(number % 3) as usize]
    );
    contact.first_name = Some(shown);
    contact.last_name = dice.percent(94).then(|| last.into());
    if works {
        contact.company_name = Some(company_name.into());
        if dice.percent(40) {
            contact.website = Some(format!("https://{domain}").into());
        }
    }
    if dice.percent(88) {
        contact.email = Some(if works { at_work } else { personal.clone() }.into());
    }
    if dice.percent(78) {
        contact.phone = Some(phone.into());
    }
    if number % 11 == 4 {
        contact
            .additional_emails
            .push(format!("alt.{personal}").into());
        contact
            .additional_phones
            .push(format!("+44790096{:04}", number % 10_000).into());
    }
    if dice.percent(65) {
        contact.postal_code = Some(postal.into());
        contact.address1 =
            Some(format!("{} {}", 100 + dice.below(8900), dice.pick(names::STREETS)).into());
    }
    if dice.percent(30) {
        contact.kind = "customer".into();
    }
    for _ in 0..[0, 0, 1, 1, 2, 3][dice.below(6) as usize] {
        let tag = Text::Borrowed(*dice.pick(names::TAGS));
        if !contact.tags.contains(&tag) {
            contact.tags.push(tag);
        }
    }
    if dice.percent(4) {
        contact.dnd = true;
        contact.dnd_settings = Some(json!({
            "Email": {"status": "active", "message": "Unsubscribed", "code": "101"},
            "SMS": {"status": "active", "message": "Unsubscribed", "code": "101"},
        }));
    }
    if dice.percent(12) {
        let day = 1 + dice.below(28) as u32;
        contact.date_of_birth =
            NaiveDate::from_ymd_opt(1945 + dice.below(60) as i32, 1 + dice.below(12) as u32, day);
    }
    if dice.percent(8) {
        contact.followers.push(dice.pick(fixed::USERS).id.into());
    }
    contact.custom_fields = fixed::invent_custom_values(dice);
    contact
}

/// Different for every contact up to the number of area codes times ten thousand.
fn phone(seed: &Seed, number: u64) -> String {
    let all = names::AREA_CODES.len() as u64 * 10_000;
    // 7919 is a prime that divides no such product, so the steps meet every number once.
    let slot = (number * 7919 + scramble(seed.seed) % all) % all;
    let area = names::AREA_CODES[(slot % names::AREA_CODES.len() as u64) as usize];
    format!("+1{area}555{:04}", slot / names::AREA_CODES.len() as u64)
}
