//! Credentials: from the environment, else from the vault. Values are [`SecretString`]s from the moment
//! they are read; nothing here shows one.

mod key;
mod vault;

use std::fmt;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
pub use secrecy::SecretString;
use serde::Serialize;

pub use self::key::{KEY_VARIABLE, KeyRing};
pub use self::vault::Vault;

use crate::error::{Error, Result};
use crate::http::{Field, Service};

/// Every statement of the vault, for the test that describes them all.
pub const STATEMENTS: &[&[(&str, &str)]] = &[vault::STATEMENTS];

/// The account of a service when there is only one.
pub const DEFAULT_ACCOUNT: &str = "default";

/// How the environment is asked, so that tests and servers can answer for it.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// The values that log in to one service.
#[derive(Clone)]
pub struct Credentials {
    title: &'static str,
    values: Vec<(&'static str, SecretString)>,
}

impl Credentials {
    /// Values that come from neither the environment nor the vault: just typed, or a sandbox's.
    pub fn given(service: &Service, values: Vec<(&'static str, SecretString)>) -> Self {
        Credentials {
            title: service.title,
            values,
        }
    }

    /// Every value and its field.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &SecretString)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// The value of a field that is no secret.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.get(field).map(ExposeSecret::expose_secret)
    }

    /// The value of a field that was declared as required.
    pub fn need(&self, field: &str) -> Result<&SecretString> {
        self.get(field).ok_or_else(|| {
            Error::auth(format!("the credentials for {} lack `{field}`", self.title))
        })
    }

    /// The value of a field, if there is one.
    pub fn get(&self, field: &str) -> Option<&SecretString> {
        let (_, value) = self.values.iter().find(|(name, _)| *name == field)?;
        Some(value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.values.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

/// Finds what logs in to a service.
///
/// When the environment has every required field, the vault is not asked at all: it may hold those of
/// another account. Otherwise it fills the gaps. Without a vault only the environment counts.
pub async fn find(
    service: &Service,
    account: &str,
    environment: Lookup<'_>,
    vault: Option<&Vault>,
) -> Result<Credentials> {
    let mut values: Vec<(&'static str, SecretString)> = service
        .credentials
        .iter()
        .filter_map(|field| Some((field.name, from_environment(field, environment)?)))
        .collect();
    let missing = |values: &[(&'static str, SecretString)]| -> Vec<&'static Field> {
        service
            .credentials
            .iter()
            .filter(|field| field.required && !values.iter().any(|(name, _)| *name == field.name))
            .collect()
    };
    if let Some(vault) = vault
        && !missing(&values).is_empty()
    {
        let stored = vault.load(service.name, account).await?;
        for field in service.credentials {
            if values.iter().any(|(name, _)| *name == field.name) {
                continue;
            }
            let value = stored.iter().find(|(name, _)| name == field.name);
            if let Some((_, value)) = value {
                values.push((field.name, value.clone()));
            }
        }
    }
    let missing = missing(&values);
    if missing.is_empty() {
        return Ok(Credentials {
            title: service.title,
            values,
        });
    }
    let listed = |name: fn(&Field) -> &'static str| {
        let names: Vec<_> = missing
            .iter()
            .map(|field| format!("`{}`", name(field)))
            .collect();
        names.join(" and ")
    };
    Err(Error::auth(format!(
        "no credentials for {}: {} missing",
        service.title,
        listed(|field| field.name)
    ))
    .hint(format!(
        "Run `medtainer auth login {}`, or set {} in the environment.",
        service.name,
        listed(|field| field.variable)
    )))
}

fn from_environment(field: &Field, environment: Lookup<'_>) -> Option<SecretString> {
    let value = zeroize::Zeroizing::new(environment(field.variable)?);
    let value = value.trim();
    (!value.is_empty()).then(|| SecretString::from(value))
}

/// Where one field comes from; never what it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FieldStatus {
    /// The field, such as `token`.
    pub field: String,
    /// The environment variable that would win.
    pub variable: String,
    /// Whether nothing works without it.
    pub required: bool,
    /// Where it comes from.
    pub source: Source,
    /// When it was stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<DateTime<Utc>>,
    /// Why a stored value cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Where a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A variable of the environment.
    Environment,
    /// The vault.
    Stored,
    /// Nowhere.
    Missing,
}

/// Where each field of a service comes from, as [`find`] would see it.
pub async fn status(
    service: &Service,
    account: &str,
    environment: Lookup<'_>,
    vault: Option<&Vault>,
) -> Result<Vec<FieldStatus>> {
    let stored = match vault {
        Some(vault) => vault.inspect(service.name, account).await?,
        None => Vec::new(),
    };
    let given: Vec<bool> = service
        .credentials
        .iter()
        .map(|field| from_environment(field, environment).is_some())
        .collect();
    let complete = service
        .credentials
        .iter()
        .zip(&given)
        .all(|(field, given)| *given || !field.required);
    let statuses = service.credentials.iter().zip(given).map(|(field, given)| {
        let kept = stored.iter().find(|kept| kept.field == field.name);
        let kept = kept.filter(|_| !given && !complete);
        FieldStatus {
            field: field.name.to_owned(),
            variable: field.variable.to_owned(),
            required: field.required,
            source: match kept {
                _ if given => Source::Environment,
                Some(_) => Source::Stored,
                None => Source::Missing,
            },
            stored_at: kept.map(|kept| kept.updated_at),
            problem: kept.and_then(|kept| kept.problem.clone()),
        }
    });
    Ok(statuses.collect())
}

/// Makes a value ready to be stored: without the white space that copying brings along.
fn tidy(field: &str, value: &SecretString) -> Result<SecretString> {
    let value = value.expose_secret().trim();
    if value.is_empty() {
        return Err(Error::usage(format!("`{field}` is empty")));
    }
    Ok(SecretString::from(value))
}
