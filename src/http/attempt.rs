//! Sending: each attempt through the gate, recorded, and repeated only where that is safe.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::gate::{Gate, Health, Pass, Told};
use super::outcome::{Answer, Failure, Fault, judge};
use super::record::{Recorder, Row};
use super::service::{Limits, Reset, Service};
use super::{Call, Effect, Gateway, Method, Reply, jitter};
use crate::error::{Error, Result};

/// A deadline cut shorter than this says nothing about the provider.
const FAIR: Duration = Duration::from_secs(5);

/// No pause between two tries is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

impl Gateway {
    /// Tries until there is an answer, it would be unsafe, or there is no time left.
    pub(super) async fn attempts(&self, call: &Call<'_>) -> Result<Reply> {
        let options = &self.shared.options;
        let gate = call.service.limits.map(|limits| self.gate(call, limits));
        let mut last: Option<Failure> = None;
        let mut number = 0;
        loop {
            number += 1;
            let (client, request) = self.build(call)?;
            let pass = match &gate {
                None => None,
                Some(gate) => match gate.enter(call.priority, call.deadline).await {
                    Ok(pass) => Some(pass),
                    Err(closed) => return Err(which(last, closed, call)),
                },
            };
            let failure = match self
                .attempt(
                    call,
                    number,
                    client,
                    request,
                    gate.as_ref().zip(pass.as_ref()),
                )
                .await
            {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            let pause = match failure.fault {
                // The gate knows how long; without one it is up to us.
                Fault::RateLimited(_) if gate.is_some() => Duration::ZERO,
                Fault::RateLimited(Some(after)) => after,
                _ => options
                    .backoff
                    .saturating_mul(1 << (number - 1).min(16))
                    .min(LONGEST_BACKOFF)
                    .mul_f64(0.5 + jitter()),
            };
            if number >= options.attempts
                || !failure.fault.may_repeat(call.request.effect)
                || Instant::now() + pause >= call.deadline
            {
                return Err(failure.into_error(call));
            }
            tracing::debug!(
                service = call.service.name,
                endpoint = %call.request.template,
                attempt = number,
                fault = failure.fault.name(),
                "trying again"
            );
            last = Some(failure);
            tokio::time::sleep(pause).await;
        }
    }

    fn gate<'a>(&'a self, call: &Call<'a>, limits: Limits) -> Gate<'a> {
        let options = &self.shared.options;
        Gate {
            pool: &self.shared.pool,
            service: call.service,
            account: call.account,
            limits,
            breaker: options.breaker,
            lease: options.timeouts.attempt + Duration::from_secs(5),
        }
    }

    fn build(&self, call: &Call<'_>) -> Result<(&Client, reqwest::Request)> {
        let service = call.service;
        let url = call.request.url(call.base_url)?;
        let client = self.clients.for_url(&url, self.shared.options.timeouts)?;
        let method = match call.request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut request = client
            .request(method, url)
            .header(ACCEPT, "application/json");
        if !service.auth.forms.is_empty() {
            request = request.header(service.auth.header, credential(call)?);
        }
        for (name, value) in service.versions_for(&call.request.path) {
            request = request.header(name, value);
        }
        if let Some(body) = &call.request.body {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .body(body.get().to_owned());
        }
        let request = request.build().map_err(|error| {
            Error::internal("a request could not be made").because(error.without_url())
        })?;
        Ok((client, request))
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        number: u16,
        client: &Client,
        request: reqwest::Request,
        gate: Option<(&Gate<'_>, &Pass)>,
    ) -> Result<Reply, Failure> {
        let options = &self.shared.options;
        let longest = options.timeouts.attempt;
        let allowed = match call.request.effect {
            Effect::Read => longest.min(call.deadline.saturating_duration_since(Instant::now())),
            Effect::Write => longest,
        };
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut entry = Entry::open(&self.shared.recorder, call, number);
        let exchange = exchange(call.service, client, request, options.longest_body);
        let answer = match tokio::time::timeout(allowed, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure {
                fault: Fault::Timeout {
                    fair: allowed >= FAIR.min(longest),
                },
                error: super::too_late(call.service),
            }),
        };
        let mut told = Told::default();
        let result = answer.and_then(|answer| {
            told = Told::from_headers(call.service, &answer.headers);
            entry.answered(call.service, &answer);
            judge(call, answer, &mut entry.request_id)
        });
        let fault = result.as_ref().err().map(|failure| failure.fault);
        entry.close(fault);
        if let Some((gate, pass)) = gate
            // The answer is here; that Postgres is not must not turn it into a failure.
            && let Err(error) = note(gate, pass, fault, &told).await
        {
            tracing::warn!(service = call.service.name, %error, "limits could not be noted");
        }
        result
    }
}

/// The error of a call whose next attempt the gate refused: what the provider said, unless that was
/// only "later", which the gate can say better.
fn which(last: Option<Failure>, closed: Error, call: &Call<'_>) -> Error {
    match last {
        Some(failure) if !matches!(failure.fault, Fault::RateLimited(_)) => {
            failure.into_error(call)
        }
        _ => closed,
    }
}

fn credential(call: &Call<'_>) -> Result<HeaderValue> {
    let service = call.service;
    let text = call.credential.shown_by(&service.auth)?;
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::auth(format!(
            "the credential for {} holds characters that none can have",
            service.title
        ))
        .hint(format!(
            "Copy it again, whole and without line breaks: `medtainer auth login {}`.",
            service.name
        ))
    })?;
    // Then no library shows it when it logs headers.
    value.set_sensitive(true);
    Ok(value)
}

async fn exchange(
    service: &Service,
    client: &Client,
    request: reqwest::Request,
    longest: usize,
) -> Result<Answer, Failure> {
    let broken = |error: reqwest::Error| Failure::of_transport(service, error.without_url());
    let mut response = client.execute(request).await.map_err(broken)?;
    let status = response.status();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            // A refusal is one, however its body ends.
            Err(_) if !status.is_success() => break,
            Err(error) => return Err(broken(error)),
        };
        if body.len() + chunk.len() > longest {
            if !status.is_success() {
                break;
            }
            return Err(Failure {
                fault: Fault::TooLong,
                error: Error::refused(format!(
                    "{} answered with more than {} MiB",
                    service.title,
                    longest.div_ceil(1 << 20)
                ))
                .hint("Ask for less at a time, with a smaller `--limit`."),
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

/// Tells the gate what an attempt showed.
async fn note(gate: &Gate<'_>, pass: &Pass, fault: Option<Fault>, told: &Told) -> Result<()> {
    if let Some(Fault::RateLimited(after)) = fault {
        gate.block(pass, told, after).await?;
    }
    let health = fault.map_or(Health::Well, Fault::health);
    if gate.leave(pass, health, told).await? {
        tracing::warn!(
            service = gate.service.name,
            fault = fault.map(Fault::name),
            "too many failures in a row: the circuit breaker is open"
        );
    }
    Ok(())
}

impl Told {
    fn from_headers(service: &Service, headers: &HeaderMap) -> Self {
        let number = |name: Option<&'static str>| -> Option<i64> {
            headers.get(name?)?.to_str().ok()?.trim().parse().ok()
        };
        // A limit of nothing, or of nonsense, would stop us for ever.
        let positive = |name| {
            number(name)
                .and_then(|value| i32::try_from(value).ok())
                .filter(|value| *value > 0)
        };
        let names = service.limit_headers;
        let mut told = Told {
            max_requests: positive(names.max),
            window_ms: positive(names.window_ms).filter(|ms| *ms <= 86_400_000),
            ..Told::default()
        };
        if let Some(quota) = names.quota {
            let resets_in_ms = match quota.reset {
                Reset::InMilliseconds(name) => number(Some(name)),
                Reset::InSeconds(name) => {
                    number(Some(name)).map(|seconds| seconds.saturating_mul(1_000))
                }
                // By the provider's clock, so that a wrong one here does not matter.
                Reset::AtEpochSecond(name) => number(Some(name)).map(|second| {
                    let now = date(headers).unwrap_or_else(chrono::Utc::now).timestamp();
                    second.saturating_sub(now).saturating_mul(1000)
                }),
            };
            told.quota_limit = number(quota.max).filter(|limit| *limit > 0);
            told.quota_remaining = number(Some(quota.remaining)).map(|left| left.max(0));
            told.quota_resets_in =
                resets_in_ms.map(|ms| ms.clamp(0, 2 * 86_400_000) as f64 / 1000.0);
        }
        told
    }
}

/// When the provider made the answer, by its own clock.
fn date(headers: &HeaderMap) -> Option<chrono::DateTime<chrono::Utc>> {
    let text = headers.get(DATE)?.to_str().ok()?;
    Some(chrono::DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

/// A row in the making. An attempt that is given up half-way is recorded too, when this is dropped.
struct Entry<'a> {
    recorder: &'a Recorder,
    row: Option<Row>,
    request_id: Option<String>,
}

impl<'a> Entry<'a> {
    fn open(recorder: &'a Recorder, call: &Call<'_>, attempt: u16) -> Self {
        Entry {
            recorder,
            request_id: None,
            row: Some(Row {
                started: Instant::now(),
                ecosystem: call.service.catalog_name,
                endpoint: call.request.template.clone().into_owned(),
                method: call.request.method.as_str(),
                status: None,
                latency: Duration::ZERO,
                execution_id: call.execution_id,
                account: call.account.to_owned(),
                attempt,
                error_kind: Some("cancelled"),
                request_id: None,
                bytes: None,
            }),
        }
    }

    fn answered(&mut self, service: &Service, answer: &Answer) {
        self.request_id = service
            .request_id_header
            .and_then(|name| answer.headers.get(name))
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if let Some(row) = &mut self.row {
            row.status = Some(answer.status.as_u16());
            row.bytes = u64::try_from(answer.body.len()).ok();
        }
    }

    fn close(mut self, fault: Option<Fault>) {
        if let Some(row) = &mut self.row {
            row.error_kind = fault.map(Fault::name);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Some(mut row) = self.row.take() else {
            return;
        };
        row.latency = row.started.elapsed();
        row.request_id = self.request_id.take();
        tracing::debug!(
            service = row.ecosystem,
            method = row.method,
            endpoint = row.endpoint,
            status = row.status,
            attempt = row.attempt,
            ms = u64::try_from(row.latency.as_millis()).unwrap_or(u64::MAX),
            error_kind = row.error_kind,
            "asked a provider"
        );
        self.recorder.push(row);
    }
}
