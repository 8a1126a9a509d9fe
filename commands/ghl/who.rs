//! WHO: a contact as people name it.

use medtainer_core::complete::Candidates;
use medtainer_core::context::Context;
use medtainer_core::privacy::Class;
use medtainer_core::{Error, Result, people};
use serde_json::json;

use super::{GHL, collections, lookup, store};

/// How many candidates an ambiguous name is answered with.
const SHOWN: u32 = 10;

/// A hit this much better than the next one is who was meant.
const CLEARLY: f64 = 1.25;

/// The id of the contact that is meant: an id, or what a search finds.
pub async fn find(cx: &Context, who: &str) -> Result<String> {
    match known(cx, who).await? {
        Some(id) => Ok(id),
        None => named(cx, who).await,
    }
}

/// The id of the contact that is meant, for an action: whoever is merely the nearest is not taken.
pub async fn surely(cx: &Context, argument: &str, who: &str) -> Result<String> {
    match known_as(cx, argument, who).await? {
        Some(id) => Ok(id),
        None => search(cx, argument, who, is_sure).await,
    }
}

/// Points from which a hit is who was named and no guess.
const SURE: f64 = 0.6;

fn is_sure(hit: &people::Hit) -> bool {
    use people::Match::{Initial, Misspelling, Prefix, SoundsLike};
    let guess = |kind| matches!(kind, Initial | Misspelling | Prefix | SoundsLike);
    hit.score >= SURE && !hit.why.iter().any(|reason| guess(reason.kind))
}

/// The id, when it is one of a contact that is here.
pub async fn known(cx: &Context, who: &str) -> Result<Option<String>> {
    known_as(cx, "who", who).await
}

/// The same for an argument of another name.
pub async fn known_as(cx: &Context, argument: &str, who: &str) -> Result<Option<String>> {
    let who = cx.chosen(argument, who).trim();
    if who.is_empty() {
        return Err(Error::usage("WHO is empty")
            .hint("Give an id, an e-mail address, a phone number or a name."));
    }
    let mut conn = cx.db().await?;
    let whole = store::contact(&mut conn, who).await?;
    Ok(whole.map(|whole| whole.id))
}

/// The id of the contact of that name, in a cache that is fresh enough.
pub async fn named(cx: &Context, who: &str) -> Result<String> {
    search(cx, "who", who, |_| true).await
}

/// The one that is clearly meant, and good enough.
async fn search(
    cx: &Context,
    argument: &str,
    who: &str,
    good: impl Fn(&people::Hit) -> bool,
) -> Result<String> {
    let who = cx.chosen(argument, who).trim();
    cx.read_through(&GHL, &collections::CONTACTS).await?;
    if let Some(id) = known_as(cx, argument, who).await? {
        return Ok(id);
    }
    let mut conn = cx.db().await?;
    let mut hits = people::search(&mut conn, who, SHOWN).await?;
    hits.retain(|hit| may_be_found(cx, hit));
    let one = match hits.as_slice() {
        [] => {
            return Err(Error::not_found(format!("no contact is called `{who}`"))
                .hint("`medtainer ghl search TEXT` shows near misses, `medtainer ghl contacts --query TEXT` any part of a name."));
        }
        [best, others @ ..] => {
            let rivals = others
                .iter()
                .take_while(|hit| hit.score * CLEARLY >= best.score);
            match rivals.count() {
                0 if good(best) => best,
                rivals => return Err(ambiguous(&mut conn, argument, who, &hits[..=rivals]).await?),
            }
        }
    };
    Ok(one.id.clone())
}

/// Whether the caller may know of the hit: what it does not get to see finds nobody, unless it has it
/// whole already. A part would tell the rest, letter by letter.
pub fn may_be_found(cx: &Context, hit: &people::Hit) -> bool {
    hit.why.iter().all(|reason| {
        let (asked, found) = (&reason.query_token, &reason.matched_token);
        let (class, is_whole) = match reason.field {
            people::Field::Email => (Class::Contact, asked.contains('@')),
            people::Field::Phone => (Class::Contact, asked.len() >= 7),
            people::Field::Name | people::Field::Alias | people::Field::Company => {
                (Class::Name, true)
            }
        };
        !cx.hides(class) || is_whole && asked == found
    })
}

async fn ambiguous(
    conn: &mut sqlx::PgConnection,
    argument: &str,
    who: &str,
    hits: &[people::Hit],
) -> Result<Error> {
    let ids: Vec<_> = hits.iter().map(|hit| hit.id.clone()).collect();
    let lines = lookup::lines(conn, &ids).await?;
    let candidates: Vec<_> = lines
        .iter()
        .map(|line| {
            let label = [&line.name, &line.company, &line.email, &line.phone];
            let label = label
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            json!({ "id": line.id, "label": label })
        })
        .collect();
    let message = match candidates.len() {
        1 => format!("`{who}` is not quite anybody's name, and only the nearest is this one"),
        many => format!("`{who}` may be any of {many}"),
    };
    Ok(Error::conflict(message)
        .hint("Give the id of the one you mean.")
        .details(json!({ "argument": argument, "candidates": candidates })))
}

/// Names and ids from the cache.
pub const CANDIDATES: Candidates =
    Candidates::new(|conn, typed, most| Box::pin(lookup::complete(conn, typed, most))).personal();
