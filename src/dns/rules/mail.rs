//! Mail: where it goes, and what the domain says about mail in its name.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::dkim::{self, Selector};
use super::dmarc::{self, Dmarc};
use super::providers::{self, Provider};
use super::spf::{self, Spf};
use super::view::{View, told};
use super::{Book, Finding, ids};
use crate::dns::lookup::Answer;
use crate::dns::name::{DomainName, Owner};
use crate::dns::record::{Record, RecordType};

// How the mail of the domain stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[allow(
    missing_docs,
    reason = "comments go into the schemas of tools, where names that say it all cost"
)]
pub struct Mail {
    pub provider: Option<String>,
    pub mx: Vec<String>,
    pub refuses: bool,
    pub spf: Spf,
    pub dkim: Vec<Selector>,
    pub dmarc: Dmarc,
}

/// What the other rules about mail need to know of its way.
pub(super) struct Routing<'a> {
    pub records: Vec<&'a Record>,
    pub provider: Option<&'static Provider>,
    /// A null MX: the domain takes no mail.
    pub refuses: bool,
}

impl Routing<'_> {
    /// Whether mail in the domain's name is to be expected.
    pub fn is_used(&self) -> bool {
        !self.refuses && !self.records.is_empty()
    }
}

pub(super) async fn check(view: &View<'_>, book: &mut Book) -> Mail {
    let routing = routing(view, book);
    for name in mail_names(view) {
        targets(view, &name, book).await;
    }
    let hosts = routing.records.iter().filter(|record| record.data != ".");
    Mail {
        provider: routing.provider.map(|provider| provider.name.to_owned()),
        mx: hosts.map(|record| record.data.clone()).collect(),
        refuses: routing.refuses,
        spf: spf::check(view, &routing, book).await,
        dkim: dkim::check(view, &routing, book).await,
        dmarc: dmarc::check(view, &routing, book).await,
    }
}

/// Who handles the mail behind a set of MX hosts; for whoever shows MX records.
pub fn provider_of<'a>(hosts: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    let hosts = hosts.into_iter().filter_map(|host| host.parse().ok());
    hosts
        .filter_map(|host: DomainName| providers::of_host(&host))
        .map(|provider| provider.name)
        .next()
}

fn routing<'a>(view: &View<'a>, book: &mut Book) -> Routing<'a> {
    let apex = Owner::apex();
    let records = view.set(&apex, &RecordType::Mx);
    let refuses = records.len() == 1 && records[0].data == ".";
    let mut known: Vec<&'static Provider> = Vec::new();
    for record in &records {
        let provider = record.target().and_then(|host| providers::of_host(&host));
        known.extend(provider.filter(|provider| !known.contains(provider)));
    }
    if records.is_empty() {
        book.find(Finding::new(
            ids::MX_MISSING,
            &apex,
            format!(
                "`{}` has no MX record: mail to it goes to its web server, or nowhere.",
                view.zone.name
            ),
        ));
    }
    if records.len() > 1 && records.iter().any(|record| record.data == ".") {
        book.find(
            Finding::new(
                ids::MX_NULL_BESIDE_OTHERS,
                &apex,
                "One MX record says that the domain takes no mail, others say where it goes.",
            )
            .on(records.iter().copied()),
        );
    }
    if known.len() > 1 {
        let names: Vec<_> = known.iter().map(|provider| provider.name).collect();
        book.find(
            Finding::new(
                ids::MX_MIXED_PROVIDERS,
                &apex,
                format!(
                    "Mail goes to {}: some of it arrives where nobody reads it, unless one is a filter in front.",
                    names.join(" and ")
                ),
            )
            .on(records.iter().copied()),
        );
    }
    Routing {
        provider: known.first().copied(),
        refuses,
        records,
    }
}

/// Every name mail can go to.
fn mail_names(view: &View<'_>) -> BTreeSet<Owner> {
    let records = view.zone.of(&RecordType::Mx);
    records.map(|record| record.name.clone()).collect()
}

/// What the MX records of a name point at.
async fn targets(view: &View<'_>, name: &Owner, book: &mut Book) {
    for record in view.set(name, &RecordType::Mx) {
        let about = |rule, message: String| {
            Finding::new(rule, name, message)
                .about(&record.data)
                .on([record])
        };
        if record.data == "." {
            continue;
        }
        let is_address = record.data.parse::<std::net::IpAddr>().is_ok();
        let Some(host) = record.target().filter(|_| !is_address) else {
            book.find(about(
                ids::MX_TARGET_ADDRESS,
                format!(
                    "The MX record points at `{}`, which is not a name; mail servers ignore it.",
                    record.data
                ),
            ));
            continue;
        };
        let alias = view.ask(&host, &RecordType::Cname).await;
        match &alias {
            Answer::Found { .. } => book.find(
                about(
                    ids::MX_TARGET_ALIAS,
                    format!("The MX record points at `{host}`, which is a CNAME; some mail servers refuse that."),
                )
                .asked([told(&host, &RecordType::Cname, &alias)]),
            ),
            Answer::Unknown(why) => book.cannot_check(ids::MX_TARGET_ALIAS, name, why.clone()),
            _ => {}
        }
        let (there, asked) = view.has_address(&host).await;
        match there {
            Ok(true) => {}
            Ok(false) => book.find(
                about(
                    ids::MX_TARGET_MISSING,
                    format!("The MX record points at `{host}`, which has no address: mail is lost or late."),
                )
                .asked(asked),
            ),
            Err(why) => book.cannot_check(ids::MX_TARGET_MISSING, name, why),
        }
        let own = Owner::within(&host, &view.zone.name);
        let proxied: Vec<_> = own
            .iter()
            .flat_map(|owner| view.zone.at(owner))
            .filter(|record| record.proxied == Some(true))
            .collect();
        if !proxied.is_empty() {
            book.find(
                about(
                    ids::MX_TARGET_PROXIED,
                    format!("Mail goes to `{host}`, which is behind a proxy that takes no mail."),
                )
                .on(proxied),
            );
        }
    }
}
