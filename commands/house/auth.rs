//! `medtainer auth`: credentials of providers.

use chrono::{DateTime, Utc};
use clap::Args;
use medtainer_core::auth::{self, Credentials, DEFAULT_ACCOUNT, SecretString, Source};
use medtainer_core::cli::Host;
use medtainer_core::command::{Chore, Effect};
use medtainer_core::context::Context;
use medtainer_core::ecosystem::Ecosystem;
use medtainer_core::http::{Field, Form, Service};
use medtainer_core::output::{Column, Page, Row, Text};
use medtainer_core::tree::Group;
use medtainer_core::ui::prompt;
use medtainer_core::{Error, Result};
use schemars::JsonSchema;
use serde::Serialize;

/// The commands of this group.
pub fn group() -> Group {
    Group::new("auth", "Credentials of providers")
        .chore::<Login>("login")
        .chore::<Logout>("logout")
        .chore::<Status>("status")
}

/// Store a provider's credential, after trying it
///
/// Asks for each value without showing it, tries them on the provider, and keeps them encrypted.
/// On a server, `--stdin` reads the values from standard input, a line each, in the order that
/// `medtainer auth status` shows them; one that is not needed is an empty line.
#[derive(Debug, Args)]
pub struct Login {
    /// The ecosystem, such as `ghl`
    #[arg(value_name = "ECO")]
    ecosystem: String,

    /// Read the values from standard input, a line each
    #[arg(long)]
    stdin: bool,
}

impl Chore for Login {
    type Output = Text;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let ecosystem = host.app.ecosystem(&self.ecosystem)?;
        let service = ecosystem.service;
        let business = host.invocation()?.business;
        if business.is_sandbox() {
            return Err(Error::usage("the sandbox needs no credential")
                .hint(format!("`{business}` holds sample data: leave out `--sandbox`, or name another business.")));
        }
        if !self.stdin && !host.is_interactive() {
            return Err(
                Error::usage("there is nobody to ask for the credential").hint(format!(
                    "Run it in a terminal, pipe the values in with `--stdin`, or set {}.",
                    auth::listed(&auth::lacking(service, &[]), |field| field.variable)
                )),
            );
        }
        let credential = collect(host, service, self.stdin).await?;
        let cx = context(host)
            .await?
            .with_credential(ecosystem, credential.clone());
        host.printer
            .say(&format!("Trying it on {} …", service.title));
        let whose = (ecosystem.probe)(&cx).await?;
        let values: Vec<_> = credential.values().collect();
        cx.vault()
            .store(service.name, DEFAULT_ACCOUNT, &values)
            .await?;
        let name = service.name;
        host.printer
            .say(&format!("`medtainer {name} sync` fetches what there is."));
        Ok(Text::new(format!(
            "Logged in to {}: {whose}.",
            service.title
        )))
    }
}

/// Each value from a person, or a line of standard input.
async fn collect(host: &Host, service: &Service, piped: bool) -> Result<Credentials> {
    let mut values = Vec::new();
    // Only where it is read: these lines keep standard input locked, and a prompt would wait for it forever.
    if piped {
        let mut lines = std::io::stdin().lines();
        for field in service.credentials {
            values.push((field.name, line(&mut lines)?));
        }
    } else {
        let form = choose(host, service).await?;
        for field in auth::wanted(service, form) {
            values.push((field.name, ask(host, field).await?));
        }
    }
    let values: Vec<_> = values
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, SecretString::from(value)))
        .collect();
    let missing = auth::lacking(service, &values);
    if missing.is_empty() {
        return Ok(Credentials::given(service, values));
    }
    let missing = auth::listed(&missing, |field| field.name);
    Err(Error::usage(format!("{missing} is empty")).hint("Nothing was stored; run it again."))
}

/// The form of credential that a person has.
async fn choose(host: &Host, service: &Service) -> Result<&'static Form> {
    let [first, _, ..] = service.auth.forms else {
        return Ok(service.auth.forms.first().unwrap_or(&Form::TOKEN));
    };
    let titles: Vec<_> = service.auth.forms.iter().map(|form| form.title).collect();
    let title = format!("Log in to {} with", service.title);
    let chosen = prompt::ask(&host.cancel, move || {
        dialoguer::Select::new()
            .with_prompt(title)
            .items(&titles)
            .default(0)
            .interact()
    })
    .await?;
    Ok(service.auth.forms.get(chosen).unwrap_or(first))
}

async fn ask(host: &Host, field: &Field) -> Result<String> {
    let (title, secret) = (field.title, field.secret);
    let text: String = prompt::ask(&host.cancel, move || {
        if secret {
            dialoguer::Password::new().with_prompt(title).interact()
        } else {
            dialoguer::Input::new().with_prompt(title).interact_text()
        }
    })
    .await?;
    Ok(text.trim().to_owned())
}

fn line(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Result<String> {
    match lines.next() {
        Some(Ok(line)) => Ok(line.trim().to_owned()),
        Some(Err(e)) => Err(Error::usage("standard input cannot be read").because(e)),
        None => Ok(String::new()),
    }
}

async fn context(host: &Host) -> Result<Context> {
    let cx = host.context().await?;
    cx.prepare().await?;
    Ok(cx)
}

/// Forget a stored credential
#[derive(Debug, Args)]
pub struct Logout {
    /// The ecosystem, such as `ghl`
    #[arg(value_name = "ECO")]
    ecosystem: String,
}

impl Chore for Logout {
    type Output = Text;
    const AUDITED: bool = true;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let ecosystem = host.app.ecosystem(&self.ecosystem)?;
        let service = ecosystem.service;
        let cx = context(host).await?;
        let forgotten = cx.vault().forget(service.name, DEFAULT_ACCOUNT).await? > 0;
        for field in service
            .credentials
            .iter()
            .filter(|field| host.app.env.get(field.variable).is_some())
        {
            host.printer.warn(&format!(
                "`{}` is still set in the environment and goes on working",
                field.variable
            ));
        }
        Ok(Text::new(if forgotten {
            format!("The stored credential of {} is gone.", service.title)
        } else {
            format!("There was no stored credential of {}.", service.title)
        }))
    }
}

/// Where a value of a credential comes from.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// The ecosystem and the field.
    id: String,
    /// What it is.
    title: String,
    /// `environment`, `store`, `missing`, or `not needed` beside another form of credential.
    origin: &'static str,
    /// The environment variable that wins over the store.
    variable: &'static str,
    /// When it was stored.
    stored_at: Option<DateTime<Utc>>,
    /// Why a stored value cannot be used.
    problem: Option<String>,
}

impl Row for Found {
    const COLUMNS: &'static [Column] = &[
        Column::id("Field", "id"),
        Column::prose("What", "title"),
        Column::text("From", "origin"),
        Column::id("Variable", "variable"),
        Column::age("Stored", "stored_at"),
        Column::asked("Problem", "problem"),
    ];
}

/// Show where each credential comes from, never its value
#[derive(Debug, Args)]
pub struct Status;

impl Chore for Status {
    type Output = Page<Found>;
    const EFFECT: Effect = Effect::Read;

    async fn run(&self, host: &Host) -> Result<Self::Output> {
        let cx = context(host).await?;
        let mut rows = Vec::new();
        for ecosystem in host.app.product.ecosystems {
            rows.extend(fields(&cx, ecosystem).await?);
        }
        Ok(Page::whole(rows))
    }
}

async fn fields(cx: &Context, ecosystem: &'static Ecosystem) -> Result<Vec<Found>> {
    let service = ecosystem.service;
    let statuses = cx.credential_status(ecosystem).await?;
    Ok(service
        .credentials
        .iter()
        .zip(statuses)
        .map(|(field, status)| Found {
            id: format!("{}.{}", service.name, field.name),
            title: field.title.to_owned(),
            origin: match status.source {
                Source::Environment => "environment",
                Source::Stored => "store",
                Source::Missing => "missing",
                Source::Unneeded => "not needed",
            },
            variable: field.variable,
            stored_at: status.stored_at,
            problem: status.problem,
        })
        .collect())
}
