//! Credentials (provisional).
#![allow(missing_docs)]
use crate::http::Service;
use crate::{Error, Result};
use secrecy::SecretString;
use std::path::Path;
#[derive(Debug)]
pub struct Vault;
impl Vault {
    pub fn new(_: sqlx::PgPool, _: String, _: Option<SecretString>, _: &Path) -> Self {
        Vault
    }
    pub async fn credential(
        &self,
        service: &Service,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Credential> {
        let mut pairs = Vec::new();
        for field in service.credentials {
            match env(field.variable) {
                Some(value) => pairs.push((field.name, SecretString::from(value))),
                None => return Err(Error::auth(format!("no credential for {}", service.title))),
            }
        }
        Ok(Credential(pairs))
    }
}
#[derive(Debug, Clone)]
pub struct Credential(Vec<(&'static str, SecretString)>);
impl Credential {
    pub fn of_pairs(pairs: &[(&'static str, &'static str)]) -> Self {
        Credential(
            pairs
                .iter()
                .map(|(n, v)| (*n, SecretString::from(*v)))
                .collect(),
        )
    }
    pub fn secret(&self, field: &str) -> Result<&SecretString> {
        self.0
            .iter()
            .find(|(n, _)| *n == field)
            .map(|(_, v)| v)
            .ok_or_else(|| Error::auth("missing"))
    }
    pub fn text(&self, field: &str) -> Option<&str> {
        use secrecy::ExposeSecret;
        self.secret(field).ok().map(|s| s.expose_secret())
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Origin {
    Environment,
    Store,
    Missing,
}
impl Vault {
    pub async fn store(&self, _: &Service, _: &Credential) -> Result<()> {
        Ok(())
    }
    pub async fn forget(&self, _: &Service) -> Result<bool> {
        Ok(true)
    }
}
impl Credential {
    pub fn of_secrets(v: Vec<(&'static str, SecretString)>) -> Self {
        Credential(v)
    }
}
impl Vault {
    pub async fn origins(
        &self,
        service: &Service,
        env: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Vec<Origin>> {
        Ok(service
            .credentials
            .iter()
            .map(|f| {
                if env(f.variable).is_some() {
                    Origin::Environment
                } else {
                    Origin::Missing
                }
            })
            .collect())
    }
}
