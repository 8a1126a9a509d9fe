//! What of GoDaddy is kept in the store.

use std::time::Duration;

use futures::future::BoxFuture;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::ecosystem::Feed;
use medtainer_core::sync::{Applied, Collection, Cursor, Page, Row, Source, Span};
use medtainer_core::{Kind, Result};
use sqlx::PgConnection;

use super::{GODADDY, api, store, types};

/// Domains.
pub const DOMAINS: Feed = Feed {
    collection: &Domains,
    source: |cx| Box::new(DomainPages { cx }),
};

/// The zone of each domain.
pub const ZONES: Feed = Feed {
    collection: &Zones,
    source: |cx| Box::new(ZonePages { cx }),
};

/// How old what is said of a domain may be.
pub const DOMAIN_FRESHNESS: Duration = Duration::from_secs(3_600);

/// How old a zone may be.
pub const ZONE_FRESHNESS: Duration = Duration::from_secs(15 * 60);

struct Domains;

impl Collection for Domains {
    fn name(&self) -> &'static str {
        "godaddy.domains"
    }

    fn freshness(&self) -> Duration {
        DOMAIN_FRESHNESS
    }

    // No time of change is told, and the whole list is one request.
    fn always_whole(&self) -> bool {
        true
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(store::put_domains(conn, rows, Some(run)))
    }

    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::count(conn))
    }

    fn missing<'a>(&'a self, conn: &'a mut PgConnection, run: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::missing(conn, run))
    }

    fn bury<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        run: i64,
        limit: i64,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::bury(conn, run, limit))
    }
}

/// Pages of the list of domains, for one call.
struct DomainPages<'a> {
    cx: &'a Context,
}

impl Source for DomainPages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let marker = cursor.map(|cursor| cursor.0.as_str());
            let request = api::domains(api::PAGE, marker)?;
            let reply = self.cx.send_in_background(&GODADDY, request).await?;
            let domains = api::page(&reply)?;
            let read: Vec<Row> = domains
                .iter()
                .filter_map(|domain| types::row(domain))
                .collect();
            let skipped = u32::try_from(domains.len() - read.len()).unwrap_or(u32::MAX);
            // A short page is the last one; there is no total.
            let next = read
                .last()
                .filter(|_| domains.len() >= api::PAGE)
                .map(|row| Cursor(row.id.clone()));
            // The one at the marker may come again.
            let rows = read
                .into_iter()
                .filter(|row| Some(row.id.as_str()) != marker)
                .collect();
            Ok(Page {
                rows,
                next,
                total: None,
                calls: 1,
                skipped,
                ..Page::default()
            })
        })
    }
}

/// A zone is a row whose body is the list of its records.
struct Zones;

impl Collection for Zones {
    fn name(&self) -> &'static str {
        "godaddy.zones"
    }

    fn freshness(&self) -> Duration {
        ZONE_FRESHNESS
    }

    fn always_whole(&self) -> bool {
        true
    }

    fn apply<'a>(
        &'a self,
        conn: &'a mut PgConnection,
        rows: &'a [Row],
        run: i64,
    ) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            let mut applied = Applied::default();
            for row in rows {
                let domain = DomainName::lenient(&row.id);
                let zone = Some(row.body.as_str()).filter(|body| *body != NO_ZONE);
                let at = chrono::Utc::now();
                if store::put_zone(conn, &domain, zone, at, Some(run)).await? {
                    applied.updated += 1;
                } else {
                    applied.unchanged += 1;
                }
            }
            Ok(applied)
        })
    }

    fn live<'a>(&'a self, conn: &'a mut PgConnection) -> BoxFuture<'a, Result<i64>> {
        Box::pin(store::count(conn))
    }

    // A zone goes with its domain.
    fn missing<'a>(&'a self, _: &'a mut PgConnection, _: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn bury<'a>(&'a self, _: &'a mut PgConnection, _: i64, _: i64) -> BoxFuture<'a, Result<i64>> {
        Box::pin(std::future::ready(Ok(0)))
    }
}

/// The body of a domain that GoDaddy keeps no zone of.
const NO_ZONE: &str = "null";

/// One zone after the other, in the order of the names.
struct ZonePages<'a> {
    cx: &'a Context,
}

impl Source for ZonePages<'_> {
    fn fetch<'a>(&'a self, _: Span, cursor: Option<&'a Cursor>) -> BoxFuture<'a, Result<Page>> {
        Box::pin(async move {
            let after = cursor.map_or("", |cursor| cursor.0.as_str());
            let (next, total) = {
                let mut conn = self.cx.db().await?;
                let next = store::domain_after(&mut conn, after).await?;
                (next, store::count(&mut conn).await?)
            };
            let Some(kept) = next else {
                return Ok(Page {
                    total: Some(total),
                    ..Page::default()
                });
            };
            let domain = DomainName::lenient(&kept.domain);
            let send = |request| self.cx.send_in_background(&GODADDY, request);
            let (rows, calls, skipped) = match api::zone(&domain, send).await {
                Ok((zone, calls)) => {
                    let body = zone.as_deref().unwrap_or(NO_ZONE);
                    (vec![Row::new(kept.domain.clone(), None, body)], calls, 0)
                }
                // One zone that cannot be read is no reason to read none.
                Err(error) if error.kind() == Kind::Refused => {
                    self.cx
                        .warn(format!("{}: {}", kept.domain, error.message()));
                    (Vec::new(), 1, 1)
                }
                Err(error) => return Err(error),
            };
            Ok(Page {
                rows,
                next: Some(Cursor(kept.domain)),
                total: Some(total),
                calls,
                skipped,
                ..Page::default()
            })
        })
    }
}
