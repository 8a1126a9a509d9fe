use std::collections::HashMap;

use clap::Args;
use medtainer_core::answer::Source;
use medtainer_core::command::Command;
use medtainer_core::context::Context;
use medtainer_core::dns::DomainName;
use medtainer_core::output::{Column, Page, Row};
use medtainer_core::values::FromInput;
use medtainer_core::{Error, Kind, Result};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Serialize;

use super::api::{self, Registries};
use super::names;
use super::types::Availability;

/// Ask whether domains can be registered, and for how much
///
/// Where GoDaddy does not let the account ask, the registries are asked instead (RDAP): they tell what
/// is taken, but no price, and a name nobody has may still be reserved.
#[derive(Debug, Args)]
pub struct Available {
    /// Names, such as `example.com`; `-` reads them from standard input, a line each
    #[arg(required = true, value_name = "NAME", add = FromInput)]
    names: Vec<String>,
}

/// Whether a name is free.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Line {
    id: String,
    /// `id` as people read it
    shown: String,
    /// Null where nobody could tell
    available: Option<bool>,
    /// Whether the registry said so, and not a cache
    definitive: Option<bool>,
    #[schemars(with = "Option<String>")]
    price: Option<Decimal>,
    currency: Option<String>,
    /// What the price is for
    years: Option<i64>,
    /// `godaddy` or `rdap`
    asked: &'static str,
    /// Why nobody could tell
    problem: Option<String>,
}

impl Row for Line {
    const COLUMNS: &'static [Column] = &[
        Column::id("name", "shown"),
        Column::text("available", "available"),
        Column::number("price", "price"),
        Column::text("", "currency"),
        Column::text("definitive", "definitive"),
        Column::text("asked", "asked"),
        Column::text("problem", "problem"),
    ];
}

impl Line {
    fn new(name: &DomainName, asked: &'static str) -> Self {
        Line {
            id: name.to_string(),
            shown: name.unicode(),
            available: None,
            definitive: None,
            price: None,
            currency: None,
            years: None,
            asked,
            problem: None,
        }
    }

    fn told(name: &DomainName, answer: Availability) -> Self {
        let problem = answer.message.or(answer.code);
        Line {
            available: answer.available,
            definitive: answer.definitive,
            // Millionths: 12990000 is 12.99.
            price: answer
                .price
                .map(|price| Decimal::new(price, 6).normalize())
                .map(|mut price| {
                    price.rescale(price.scale().max(2));
                    price
                }),
            currency: answer.currency.filter(|_| answer.price.is_some()),
            years: answer.period,
            problem: problem.filter(|_| answer.available.is_none()),
            ..Line::new(name, "godaddy")
        }
    }
}

impl Command for Available {
    type Output = Page<Line>;
    const CATALOG: Option<&'static str> = Some("godaddy.domain_availability");

    async fn run(&self, cx: &Context) -> Result<Self::Output> {
        if cx.is_offline() {
            return Err(Error::usage("what is available cannot be known offline")
                .hint("Leave out `--offline`: the answer is never kept."));
        }
        let mut wanted = Vec::new();
        for name in &self.names {
            let name = names::parse(name)?;
            if !wanted.contains(&name) {
                wanted.push(name);
            }
        }
        let mut lines = Vec::with_capacity(wanted.len());
        for some in wanted.chunks(api::NAMES) {
            match at_godaddy(cx, some).await {
                Ok(answered) => lines.extend(answered),
                Err(error) if error.kind() == Kind::Auth && is_denied(&error) => {
                    cx.warn("GoDaddy does not let this account ask what is available; the registries were asked (RDAP), which tell no price");
                    let rest = &wanted[lines.len()..];
                    lines.extend(at_registries(cx, rest).await?);
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if lines.iter().any(|line| line.available.is_none()) {
            cx.note_partial();
            cx.warn("for some names nobody could tell");
        }
        cx.note_source(Source::Live, Some(cx.now()));
        Ok(Page::whole(lines))
    }
}

/// 403: the key is right, and the account is too small.
fn is_denied(error: &Error) -> bool {
    error
        .details_value()
        .is_some_and(|details| details["status"] == 403)
}

/// GoDaddy's answers, in the order of the names; what came from a cache is asked again.
async fn at_godaddy(cx: &Context, wanted: &[DomainName]) -> Result<Vec<Line>> {
    let mut told = answers(cx, wanted, false).await?;
    let unsure: Vec<DomainName> = wanted
        .iter()
        .filter(|name| {
            told.get(name.as_str())
                .is_some_and(|answer| answer.definitive == Some(false))
        })
        .cloned()
        .collect();
    if !unsure.is_empty() {
        match answers(cx, &unsure, true).await {
            Ok(sure) => told.extend(sure),
            Err(error) => cx.warn(format!(
                "{}; some answers come from a cache",
                error.message()
            )),
        }
    }
    Ok(wanted
        .iter()
        .map(|name| match told.remove(name.as_str()) {
            Some(answer) => Line::told(name, answer),
            None => Line {
                problem: Some("GoDaddy left it out of its answer".to_owned()),
                ..Line::new(name, "godaddy")
            },
        })
        .collect())
}

async fn answers(
    cx: &Context,
    wanted: &[DomainName],
    full: bool,
) -> Result<HashMap<String, Availability>> {
    let told = api::available(cx, wanted, full).await?;
    let all = told.domains.into_iter().chain(told.errors);
    Ok(all
        .filter_map(|answer| Some((answer.domain.clone()?.to_lowercase(), answer)))
        .collect())
}

/// The registries' answers. One that does not answer leaves its names unknown.
async fn at_registries(cx: &Context, wanted: &[DomainName]) -> Result<Vec<Line>> {
    let registries = Registries::ask(cx).await?;
    let mut lines = Vec::new();
    for name in wanted {
        let mut line = Line::new(name, "rdap");
        match registries.has(cx, name).await {
            Ok(Some(taken)) => {
                line.available = Some(!taken);
                line.definitive = Some(taken);
            }
            Ok(None) => line.problem = Some("its registry does not answer RDAP".to_owned()),
            Err(error) => line.problem = Some(error.message().to_owned()),
        }
        lines.push(line);
    }
    Ok(lines)
}
