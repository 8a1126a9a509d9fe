//! What the figures say, a sentence each.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::{Figures, Insight, STUCK_DAYS, Spanned, Sum, service, sum};
use crate::ghl::recommend::Evidence;
use crate::ghl::store::figures::Of;

/// How many decided deals a rate needs to say anything.
const ENOUGH: i64 = 10;

/// All findings, in the order in which a person wants to read them.
pub fn all(figures: &Figures) -> Vec<Insight> {
    let mut found = growth(figures);
    found.extend(sources(figures));
    found.extend(deals(figures));
    found.extend(service::response(figures));
    found.extend(service::silence(figures));
    found.extend(service::duties(figures));
    found.push(duplicates(figures));
    found.extend(gaps(figures));
    found
}

impl Insight {
    pub(super) fn known(
        id: &'static str,
        unit: &'static str,
        figure: f64,
        finding: String,
    ) -> Insight {
        Insight {
            id,
            finding,
            figure: Some(figure),
            unit,
            before: None,
            terms: Vec::new(),
            evidence: Vec::new(),
            explain: None,
        }
    }

    /// What nobody can know yet.
    pub(super) fn unknown(id: &'static str, unit: &'static str, why: &str) -> Insight {
        Insight {
            figure: None,
            ..Insight::known(id, unit, 0.0, format!("not known: {why}"))
        }
    }

    pub(super) fn before(mut self, before: f64) -> Insight {
        self.before = Some(before);
        self
    }

    pub(super) fn how(mut self, how: impl Into<String>) -> Insight {
        self.explain.get_or_insert_default().push(how.into());
        self
    }

    pub(super) fn shown(mut self, evidence: Vec<Evidence>) -> Insight {
        self.evidence = evidence;
        self
    }
}

/// The figure, or that its source was never fetched.
pub(super) fn if_known(
    figures: &Figures,
    needs: &[&str],
    id: &'static str,
    unit: &'static str,
    insight: impl FnOnce() -> Insight,
) -> Insight {
    if figures.known.has(needs) {
        return insight();
    }
    let missing: Vec<&str> = needs
        .iter()
        .filter(|name| !figures.known.has(&[name]))
        .copied()
        .collect();
    Insight::unknown(
        id,
        unit,
        &format!("{} was never fetched completely", missing.join(", ")),
    )
}

impl Figures {
    /// Sums of a measure in the period, and in the one before.
    pub(super) fn twice(&self, measure: &str, holds: impl Fn(&Spanned) -> bool) -> (Sum, Sum) {
        let of = |late: bool| {
            sum(&self.period, |row| {
                row.measure == measure && row.late == late && holds(row)
            })
        };
        (of(true), of(false))
    }

    pub(super) fn window(&self) -> String {
        format!(
            "rows by day (UTC) from {} on, and of the {} days before",
            self.start, self.days
        )
    }

    pub(super) fn gap(&self, which: &str) -> i64 {
        sum(&self.stock, |row| {
            row.measure == "contact.gap" && row.a == which
        })
        .count
    }
}

fn growth(figures: &Figures) -> Vec<Insight> {
    let days = figures.days;
    let (now, then) = figures.twice("contact.added", |_| true);
    let all = figures.gap("all");
    let contacts = ["ghl.contacts"];
    vec![
        if_known(figures, &contacts, "growth.contacts", "contacts", || {
            Insight::known(
                "growth.contacts",
                "contacts",
                whole(now.count),
                format!(
                    "{} new contacts in {days} days{}",
                    now.count,
                    change(now.count, then.count)
                ),
            )
            .before(whole(then.count))
            .how(format!("contacts by created_at: {}", figures.window()))
        }),
        if_known(figures, &contacts, "growth.total", "contacts", || {
            Insight::known(
                "growth.total",
                "contacts",
                whole(all),
                format!("{all} contacts in all"),
            )
            .how("contacts that are not deleted")
        }),
        if_known(
            figures,
            &["ghl.opportunities"],
            "growth.deals",
            "deals",
            || {
                let (now, then) = figures.twice("deal.created", |_| true);
                Insight::known(
                    "growth.deals",
                    "deals",
                    whole(now.count),
                    format!(
                        "{} new deals worth {}{}",
                        now.count,
                        now.value,
                        change(now.count, then.count)
                    ),
                )
                .before(whole(then.count))
                .how(format!(
                    "ghl_opportunities by created_at: {}",
                    figures.window()
                ))
            },
        ),
    ]
}

fn sources(figures: &Figures) -> Vec<Insight> {
    let best = if_known(figures, &["ghl.contacts"], "sources.new", "share", || {
        let added = |row: &&Spanned| row.measure == "contact.added" && row.late;
        let mut by_source: BTreeMap<&str, i64> = BTreeMap::new();
        for row in figures.period.iter().filter(added) {
            *by_source.entry(&row.a).or_default() += row.count;
        }
        let all: i64 = by_source.values().sum();
        let mut ranked: Vec<(&str, i64)> = by_source.into_iter().collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let Some((first, count)) = ranked.first().copied() else {
            return Insight::unknown("sources.new", "share", "nobody came in these days");
        };
        Insight::known(
            "sources.new",
            "share",
            share(count, all),
            format!(
                "most new contacts come from {}: {count} of {all}",
                source(first)
            ),
        )
        .shown(
            ranked
                .iter()
                .take(5)
                .map(|(name, count)| {
                    rollup("contact.added", name, format!("{}: {count}", source(name)))
                })
                .collect(),
        )
        .how(format!(
            "contacts by source, of those added since {}; {count} / {all}",
            figures.start
        ))
    });
    let winning = if_known(
        figures,
        &["ghl.opportunities"],
        "sources.winning",
        "share",
        || {
            let mut by_source: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for row in figures
                .stock
                .iter()
                .filter(|row| row.measure == "deal.source")
            {
                let (won, decided) = by_source.entry(&row.a).or_default();
                if row.c == "won" {
                    *won += row.count;
                }
                if row.c != "open" {
                    *decided += row.count;
                }
            }
            let mut ranked: Vec<(&str, i64, i64)> = by_source
                .into_iter()
                .filter(|(_, (_, decided))| *decided >= ENOUGH)
                .map(|(name, (won, decided))| (name, won, decided))
                .collect();
            ranked.sort_by(|a, b| {
                share(b.1, b.2)
                    .total_cmp(&share(a.1, a.2))
                    .then_with(|| a.0.cmp(b.0))
            });
            let Some((first, won, decided)) = ranked.first().copied() else {
                return Insight::unknown(
                    "sources.winning",
                    "share",
                    &format!("no source has {ENOUGH} decided deals"),
                );
            };
            Insight::known(
            "sources.winning",
            "share",
            share(won, decided),
            format!("deals from {} are won most often: {won} of {decided}", source(first)),
        )
        .shown(
            ranked
                .iter()
                .take(5)
                .map(|(name, won, decided)| rollup("deal.source", name, format!("{}: {won} of {decided}", source(name))))
                .collect(),
        )
        .how(format!("ghl_opportunities by source: won / (won + lost + abandoned) of all times; from {ENOUGH} decided on"))
        },
    );
    vec![best, winning]
}

fn deals(figures: &Figures) -> Vec<Insight> {
    let needs = ["ghl.opportunities"];
    let (won, won_then) = figures.twice("deal.closed", |row| row.c == "won");
    let (decided, decided_then) = figures.twice("deal.closed", |_| true);
    let won_deals = if_known(figures, &needs, "deals.won", "money", || {
        Insight::known(
            "deals.won",
            "money",
            money(won.value),
            format!(
                "{} deals won, worth {}{}",
                won.count,
                won.value,
                change(won.count, won_then.count)
            ),
        )
        .before(money(won_then.value))
        .how(format!(
            "ghl_opportunities that are won, by status_changed_at: {}",
            figures.window()
        ))
    });
    let rate = if_known(figures, &needs, "deals.win_rate", "share", || {
        if decided.count < ENOUGH {
            return Insight::unknown(
                "deals.win_rate",
                "share",
                &format!(
                    "{} deals were decided in these days, fewer than {ENOUGH}",
                    decided.count
                ),
            );
        }
        let mut insight = Insight::known(
            "deals.win_rate",
            "share",
            share(won.count, decided.count),
            format!("{} of {} decided deals were won", won.count, decided.count),
        );
        if decided_then.count >= ENOUGH {
            insight = insight.before(share(won_then.count, decided_then.count));
        }
        insight.how(format!(
            "won / (won + lost + abandoned), by status_changed_at: {}",
            figures.window()
        ))
    });
    let days = if_known(figures, &needs, "deals.days_to_win", "days", || {
        let Some(mean) = mean_days(won) else {
            return Insight::unknown("deals.days_to_win", "days", "no deal was won in these days");
        };
        let insight = Insight::known(
            "deals.days_to_win",
            "days",
            mean,
            format!("a won deal took {mean} days on average"),
        );
        match mean_days(won_then) {
            Some(then) => insight.before(then),
            None => insight,
        }
        .how(format!(
            "mean of status_changed_at less created_at of {} won deals",
            won.count
        ))
    });
    let stuck = if_known(figures, &needs, "deals.stuck", "deals", || {
        let open = sum(&figures.stock, |row| row.measure == "deal.age");
        let young = sum(&figures.entered, |_| true);
        let count = open.count - young.count;
        Insight::known(
            "deals.stuck",
            "deals",
            whole(count),
            format!(
                "{count} of {} open deals, worth {}, have been in their stage for {STUCK_DAYS} days or more",
                open.count,
                open.value - young.value
            ),
        )
        .shown(figures.examples(Of::Stuck))
        .how(format!(
            "open ghl_opportunities whose stage_changed_at is known: {}, less {} that came into their stage later",
            open.count, young.count
        ))
    });
    vec![won_deals, rate, days, stuck]
}

fn duplicates(figures: &Figures) -> Insight {
    let Some(first) = figures.duplicates.first() else {
        return Insight::unknown(
            "duplicates",
            "contacts",
            "nobody has looked yet; `medtainer ghl sync` does",
        );
    };
    let contacts: i64 = figures.duplicates.iter().map(|one| one.contacts).sum();
    let groups: i64 = figures.duplicates.iter().map(|one| one.groups).sum();
    let kinds: Vec<String> = figures
        .duplicates
        .iter()
        .filter_map(|one| Some(format!("{} by {}", one.groups, one.kind.as_deref()?)))
        .collect();
    Insight::known(
        "duplicates",
        "contacts",
        whole(contacts),
        match groups {
            0 => "no two contacts share an e-mail address, a phone number, or name and company"
                .to_owned(),
            _ => format!(
                "{contacts} contacts are in {groups} groups of likely duplicates: {}",
                kinds.join(", ")
            ),
        },
    )
    .shown(figures.examples(Of::Same))
    .how(format!(
        "ghl_duplicates as of {}; a contact counts once for each group it is in",
        first.rolled_at.date_naive()
    ))
}

fn gaps(figures: &Figures) -> Vec<Insight> {
    let all = figures.gap("all");
    [
        (
            "missing.reach",
            "unreachable",
            "neither e-mail address nor phone number",
        ),
        ("missing.email", "no_email", "no e-mail address"),
        ("missing.phone", "no_phone", "no phone number"),
        ("missing.name", "no_name", "no name"),
        ("missing.source", "no_source", "no source"),
        ("missing.owner", "no_owner", "nobody in charge"),
    ]
    .into_iter()
    .map(|(id, key, what)| {
        if_known(figures, &["ghl.contacts"], id, "contacts", || {
            let count = figures.gap(key);
            Insight::known(
                id,
                "contacts",
                whole(count),
                format!(
                    "{count} of {all} contacts have {what}{}",
                    percent(count, all)
                ),
            )
            .how(format!("contacts that are not deleted and have {what}"))
        })
    })
    .collect()
}

fn rollup(measure: &str, key: &str, says: String) -> Evidence {
    Evidence {
        table: "ghl_rollups",
        id: format!("{measure}/{key}"),
        says,
    }
}

fn source(name: &str) -> &str {
    match name {
        "" => "no known source",
        name => name,
    }
}

pub(super) fn change(now: i64, then: i64) -> String {
    match then {
        0 => ", none in as many days before".to_owned(),
        then => {
            let percent = (whole(now) / whole(then) - 1.0) * 100.0;
            format!(", {then} in as many days before ({percent:+.0} %)")
        }
    }
}

fn percent(part: i64, all: i64) -> String {
    match all {
        0 => String::new(),
        all => format!(" ({:.0} %)", whole(part) / whole(all) * 100.0),
    }
}

/// A part of a whole, to a thousandth.
pub(super) fn share(part: i64, all: i64) -> f64 {
    (whole(part) / whole(all.max(1)) * 1000.0).round() / 1000.0
}

// Counts are far below what a float holds exactly.
#[expect(clippy::cast_precision_loss)]
pub(super) fn whole(count: i64) -> f64 {
    count as f64
}

/// For a figure, which is a number; the sentence has it to the cent.
pub(super) fn money(value: Decimal) -> f64 {
    value.to_f64().unwrap_or_default()
}

fn mean_days(sum: Sum) -> Option<f64> {
    mean(sum, 86_400)
}

pub(super) fn mean_hours(sum: Sum) -> Option<f64> {
    mean(sum, 3_600)
}

fn mean(sum: Sum, unit: i64) -> Option<f64> {
    let mean = sum.seconds.checked_div(Decimal::from(sum.count))? / Decimal::from(unit);
    mean.round_dp(1).to_f64()
}
