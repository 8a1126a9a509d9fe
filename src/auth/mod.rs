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
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub use self::key::{KEY_VARIABLE, KeyRing};
pub use self::vault::Vault;

use crate::error::{Error, Result};
use crate::http::{Auth, Field, Form, Service};

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

    /// The value of a field, if there is one.
    pub fn get(&self, field: &str) -> Option<&SecretString> {
        let (_, value) = self.values.iter().find(|(name, _)| *name == field)?;
        Some(value)
    }

    /// What tells this credential from another and nothing else: no provider's name for the account.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, value) in &self.values {
            hasher.update(name);
            hasher.update([0]);
            hasher.update(value.expose_secret());
            hasher.update([0]);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The first form of which every field is here.
    fn form(&self, auth: &Auth) -> Option<&'static Form> {
        let whole = |form: &&Form| form.fields.iter().all(|field| self.get(field).is_some());
        auth.forms.iter().find(whole)
    }

    /// The value of the header.
    pub(crate) fn shown_by(&self, auth: &Auth) -> Result<Zeroizing<String>> {
        let Some(form) = self.form(auth) else {
            return Err(Error::auth(format!(
                "the credential for {} is not whole",
                self.title
            )));
        };
        let mut text = Zeroizing::new(String::from(form.prefix));
        for (place, field) in form.fields.iter().enumerate() {
            if place > 0 {
                text.push(':');
            }
            text.push_str(self.text(field).unwrap_or_default());
        }
        Ok(text)
    }

    /// What must not be told: the values in the header.
    pub(crate) fn secrets(&self, auth: &Auth) -> impl Iterator<Item = &str> {
        let fields = self.form(auth).map_or(&[][..], |form| form.fields);
        let values = fields.iter().filter_map(|field| self.text(field));
        values.filter(|value| !value.is_empty())
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
/// When the environment has all of a credential, the vault is not asked at all: it may hold that of
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
    if let Some(vault) = vault
        && !lacking(service, &values).is_empty()
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
    let missing = lacking(service, &values);
    if missing.is_empty() {
        return Ok(Credentials::given(service, values));
    }
    Err(Error::auth(format!(
        "no credentials for {}: {} missing",
        service.title,
        listed(&missing, |field| field.name)
    ))
    .hint(format!(
        "Run `medtainer auth login {}`, or set {} in the environment.",
        service.name,
        listed(&missing, |field| field.variable)
    )))
}

/// The fields each form of the credential still needs; nothing when one of them is whole.
pub fn lacking(
    service: &Service,
    values: &[(&'static str, SecretString)],
) -> Vec<Vec<&'static Field>> {
    let is_there = |name: &str| values.iter().any(|(there, _)| *there == name);
    let mut ways = Vec::new();
    for form in service.auth.forms {
        let gaps: Vec<_> = wanted(service, form)
            .filter(|field| !is_there(field.name))
            .collect();
        if gaps.is_empty() {
            return Vec::new();
        }
        ways.push(gaps);
    }
    ways
}

/// The fields one form of the credential needs.
pub fn wanted(service: &Service, form: &'static Form) -> impl Iterator<Item = &'static Field> {
    let fields = service.credentials.iter();
    fields.filter(|field| field.required || form.fields.contains(&field.name))
}

/// Names in a sentence: what belongs together joined by "and", what can be chosen by "or".
pub fn listed(ways: &[Vec<&'static Field>], name: fn(&Field) -> &'static str) -> String {
    let ways: Vec<_> = ways
        .iter()
        .map(|fields| {
            let names: Vec<_> = fields
                .iter()
                .map(|field| format!("`{}`", name(field)))
                .collect();
            names.join(" and ")
        })
        .collect();
    ways.join(", or ")
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
    /// Nowhere, and nothing lacks it.
    Unneeded,
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
    let given: Vec<&str> = service
        .credentials
        .iter()
        .filter(|field| from_environment(field, environment).is_some())
        .map(|field| field.name)
        .collect();
    let whole = |names: &dyn Fn(&str) -> bool| {
        let forms = service.auth.forms.iter();
        let mut whole = forms.filter(|form| wanted(service, form).all(|field| names(field.name)));
        whole.next()
    };
    let complete = whole(&|name| given.contains(&name)).is_some();
    let kept = |name: &str| stored.iter().find(|kept| kept.field == name && !complete);
    let used = whole(&|name| given.contains(&name) || kept(name).is_some());
    let statuses = service.credentials.iter().map(|field| {
        let kept = kept(field.name).filter(|_| !given.contains(&field.name));
        let needed =
            used.is_none_or(|form| wanted(service, form).any(|other| other.name == field.name));
        FieldStatus {
            field: field.name.to_owned(),
            variable: field.variable.to_owned(),
            source: match kept {
                _ if given.contains(&field.name) => Source::Environment,
                Some(_) => Source::Stored,
                None if needed => Source::Missing,
                None => Source::Unneeded,
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
