//! One error for the whole product: what happened, and what the reader does next.
//!
//! The [`Kind`] answers "what do I do now?" and decides the exit code; the message says what
//! happened; the hint says how to go on. The cause is for logs and is never shown to a model or
//! printed without `-v`.

use std::fmt;

use serde_json::Value;

use crate::output::Data;

/// What the reader of an error does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Report it: a defect of medtainer.
    Internal,
    /// Change the words of the command.
    Usage,
    /// Log in, or use a credential that may do this.
    Auth,
    /// Look the thing up.
    NotFound,
    /// Say which one is meant, or settle the conflict.
    Conflict,
    /// Change the request: the provider, or a rule of ours, refused it.
    Refused,
    /// Try again later.
    Unavailable,
    /// Wait for a person's approval.
    PendingApproval,
    /// Find out whether it happened before trying again.
    OutcomeUnknown,
    /// `--strict` asked for a whole, fresh answer and there was none.
    Stale,
}

impl Kind {
    /// Every kind, in the order of the exit codes.
    pub const ALL: [Kind; 10] = [
        Kind::Internal,
        Kind::Usage,
        Kind::Auth,
        Kind::NotFound,
        Kind::Conflict,
        Kind::Refused,
        Kind::Unavailable,
        Kind::PendingApproval,
        Kind::OutcomeUnknown,
        Kind::Stale,
    ];

    /// The exit code of a process that ends with this kind; published and frozen.
    pub const fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::Auth => 3,
            Kind::NotFound => 4,
            Kind::Conflict => 5,
            Kind::Refused => 6,
            Kind::Unavailable => 7,
            Kind::PendingApproval => 8,
            Kind::OutcomeUnknown => 9,
            Kind::Stale => 10,
        }
    }

    /// The name used in JSON and in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Internal => "internal",
            Kind::Usage => "usage",
            Kind::Auth => "auth",
            Kind::NotFound => "not_found",
            Kind::Conflict => "conflict",
            Kind::Refused => "refused",
            Kind::Unavailable => "unavailable",
            Kind::PendingApproval => "pending_approval",
            Kind::OutcomeUnknown => "outcome_unknown",
            Kind::Stale => "stale",
        }
    }

    /// The kind of that name; a defect where there is none.
    pub fn of(name: &str) -> Kind {
        let mut all = Kind::ALL.into_iter();
        all.find(|kind| kind.as_str() == name)
            .unwrap_or(Kind::Internal)
    }

    /// What the exit code means, for the help text.
    pub const fn meaning(self) -> &'static str {
        match self {
            Kind::Internal => "internal error: please report it",
            Kind::Usage => "wrong command line or arguments",
            Kind::Auth => "credentials missing or refused",
            Kind::NotFound => "not found",
            Kind::Conflict => "ambiguous or conflicting",
            Kind::Refused => "the provider refused",
            Kind::Unavailable => "provider unreachable, rate-limited or breaker open",
            Kind::PendingApproval => "waiting for approval",
            Kind::OutcomeUnknown => "outcome unknown",
            Kind::Stale => "stale or partial where --strict asked for neither",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of every fallible function a command can reach.
///
/// Messages are lower case, without a full stop, name the thing in backticks, and never hold a
/// secret or a provider's raw body. Hints are whole sentences with a command to run.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    details: Option<Value>,
    answer: Option<Data>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of everything a command can reach.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind; the named constructors read better where the kind is known.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            details: None,
            answer: None,
            cause: None,
        }))
    }

    /// A defect of medtainer.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// The command's words are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Credentials are missing or were refused.
    pub fn auth(message: impl Into<String>) -> Self {
        Self::new(Kind::Auth, message)
    }

    /// Nothing by that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Several things by that name, or something that stands in the way.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// The provider, or a rule of ours, said no.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// It may work later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// How to go on: a whole sentence, with a command to run in backticks.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Facts a program can act on, such as the candidates of an ambiguous name.
    #[must_use]
    pub fn details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// The answer that the error is about, which the reader gets all the same: findings, where some
    /// are bad enough to fail a build.
    #[must_use]
    pub fn about(mut self, answer: Data) -> Self {
        self.0.answer = Some(answer);
        self
    }

    /// Takes out the answer that the error is about.
    pub fn take_answer(&mut self) -> Option<Data> {
        self.0.answer.take()
    }

    /// What led to this; shown with `-v`, never to a model.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What the reader does next.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What happened.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// How to go on.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Facts a program can act on.
    pub fn details_value(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// The answer that the error is about.
    pub fn answer(&self) -> Option<&Data> {
        self.0.answer.as_ref()
    }

    /// The chain of causes, outermost first, for logs and `-v`.
    pub fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

/// A statement that failed is either the server going away or a defect of ours.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Database(db) => db.code().unwrap_or_default(),
            _ => Default::default(),
        };
        let gone = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            // 57P0x: shut down, crashed, not yet up; 08xxx: connection lost.
            _ => code.starts_with("57P") || code.starts_with("08"),
        };
        let told = match &*code {
            "53100" => Error::unavailable("the database's disk is full")
                .hint("Free some space, then run the command again; nothing was half written."),
            "53300" => Error::unavailable("Postgres has no connection left")
                .hint("Run the command again; its `max_connections` is for all who use it."),
            _ if gone => Error::unavailable("the connection to Postgres was lost")
                .hint("Run the command again; `medtainer db status` tells how the database is."),
            _ => Error::internal("a statement failed in Postgres")
                .hint("`medtainer doctor` checks the database; `-v` shows the cause."),
        };
        told.because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_frozen() {
        let codes: Vec<_> = Kind::ALL
            .iter()
            .map(|kind| (kind.exit_code(), kind.as_str()))
            .collect();
        assert_eq!(
            codes,
            [
                (1, "internal"),
                (2, "usage"),
                (3, "auth"),
                (4, "not_found"),
                (5, "conflict"),
                (6, "refused"),
                (7, "unavailable"),
                (8, "pending_approval"),
                (9, "outcome_unknown"),
                (10, "stale"),
            ]
        );
    }
}
