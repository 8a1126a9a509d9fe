//! Several collections behind one answer: as old as the oldest of them, and what cannot be had is unknown.

use medtainer_core::context::Context;
use medtainer_core::ecosystem::Feed;
use medtainer_core::{Kind, Result};

use super::{CONTACTS, activity, deals, talk};
use crate::ghl::GHL;
use crate::ghl::store::advice;

/// What the whole of the business is told from.
pub const ALL: [&Feed; 6] = [
    &CONTACTS,
    &deals::OPPORTUNITIES,
    &talk::CONVERSATIONS,
    &talk::MESSAGES,
    &activity::TASKS,
    &activity::APPOINTMENTS,
];

/// Which collections are known.
#[derive(Debug, Default)]
pub struct Sources {
    fetched: Vec<String>,
}

impl Sources {
    /// Whether at least one sync of each of these ended well.
    pub fn has(&self, collections: &[&str]) -> bool {
        collections
            .iter()
            .all(|name| self.fetched.iter().any(|one| one == name))
    }
}

/// Brings these up to date as far as they are older than asked for. One that cannot be read leaves the
/// others; the reader is told. An error only where nothing can be read at all.
pub async fn read(cx: &Context, feeds: &[&Feed]) -> Result<Sources> {
    let (mut worst, mut as_of, mut failed) = (None, None, None);
    for feed in feeds {
        match cx.read_through(&GHL, feed).await {
            Ok(()) => {
                let (source, at) = cx.noted();
                worst = worst.max(source);
                as_of = match (as_of, at) {
                    (None, at) | (at, None) => at,
                    (Some(one), Some(two)) => Some(std::cmp::min(one, two)),
                };
            }
            // Only live answers will do; what the token may not see no answer can have.
            Err(error) if cx.wants_live() && !is_closed(error.kind()) => return Err(error),
            Err(error)
                if matches!(error.kind(), Kind::Unavailable | Kind::Conflict)
                    || is_closed(error.kind()) =>
            {
                let what = feed.collection.name().trim_start_matches("ghl.");
                cx.note_partial();
                cx.warn(format!("{what} could not be read: {}", error.message()));
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    let mut conn = cx.db().await?;
    let fetched = advice::fetched(&mut conn).await?;
    match (worst, failed) {
        (None, Some(error)) => return Err(error),
        (Some(source), _) => cx.note_source(source, as_of),
        (None, None) => {}
    }
    Ok(Sources { fetched })
}

/// What a token without the scope is answered with.
fn is_closed(kind: Kind) -> bool {
    matches!(kind, Kind::Auth | Kind::Refused)
}
