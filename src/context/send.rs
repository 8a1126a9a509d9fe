//! Asking providers, on the one path there is.

use super::Context;
use crate::auth::Credentials;
use crate::ecosystem::{Companion, Ecosystem};
use crate::error::{Error, Result};
use crate::http::{Call, Effect, Priority, Reply, Request, Service};

impl Context {
    /// Sends a request that reads to a provider, on the one path there is. Requests that write are sent
    /// by [`writes`](crate::writes) alone.
    pub async fn send(&self, ecosystem: &Ecosystem, request: Request) -> Result<Reply> {
        only_reads(&request)?;
        self.send_as(ecosystem, request, Priority::Person).await
    }

    /// The same, letting people go first.
    pub async fn send_in_background(
        &self,
        ecosystem: &Ecosystem,
        request: Request,
    ) -> Result<Reply> {
        only_reads(&request)?;
        self.send_as(ecosystem, request, Priority::Background).await
    }

    /// Sends a step of a plan.
    pub(crate) async fn send_write(
        &self,
        ecosystem: &Ecosystem,
        request: Request,
    ) -> Result<Reply> {
        self.send_as(ecosystem, request, Priority::Person).await
    }

    /// Asks a companion of an ecosystem, at `server` where somebody named one; nowhere else than the
    /// sandbox when that is what the business is.
    pub async fn ask(
        &self,
        ecosystem: &Ecosystem,
        companion: &Companion,
        server: Option<&str>,
        request: Request,
    ) -> Result<Reply> {
        only_reads(&request)?;
        let service = companion.service;
        let home = if self.business().is_sandbox() {
            format!(
                "{}{}",
                self.app.sandbox_url(ecosystem).await?,
                companion.sandbox
            )
        } else {
            let moved = self.app.env.get(service.url_variable);
            moved.unwrap_or(service.base_url).to_owned()
        };
        let base_url = server.unwrap_or(&home);
        let credential = Credentials::given(service, Vec::new());
        self.call(
            *service,
            base_url,
            // Each of its servers counts for itself.
            base_url,
            &credential,
            request,
            Priority::Person,
        )
        .await
    }

    async fn send_as(
        &self,
        ecosystem: &Ecosystem,
        request: Request,
        priority: Priority,
    ) -> Result<Reply> {
        let base_url = self.base_url(ecosystem).await?;
        let credential = self.credential(ecosystem).await?;
        let account = (ecosystem.account)(&credential);
        self.notes().account.clone_from(&Some(account.clone()));
        let unlimited = self
            .app
            .config
            .providers
            .get(ecosystem.service.name)
            .and_then(|provider| provider.budget)
            == Some(false);
        let service = if unlimited {
            Service {
                limits: None,
                ..*ecosystem.service
            }
        } else {
            *ecosystem.service
        };
        self.call(service, &base_url, &account, &credential, request, priority)
            .await
    }

    async fn call(
        &self,
        service: Service,
        base_url: &str,
        account: &str,
        credential: &Credentials,
        request: Request,
        priority: Priority,
    ) -> Result<Reply> {
        let execution_id = match &self.execution {
            Some(_) => Some(self.execution_id().await?),
            None => None,
        };
        self.give_back();
        let reply = self
            .gateway
            .send(Call {
                service: &service,
                base_url,
                account,
                credential,
                request,
                priority,
                deadline: self.until(),
                execution_id,
            })
            .await?;
        if reply.repaired {
            self.warn(format!(
                "{} sent characters no database can keep; they are shown as \u{fffd}",
                service.title
            ));
        }
        Ok(reply)
    }
}

fn only_reads(request: &Request) -> Result<()> {
    match request.effect {
        Effect::Read => Ok(()),
        Effect::Write => Err(Error::internal(format!(
            "{request:?} writes, and only a plan may"
        ))),
    }
}
