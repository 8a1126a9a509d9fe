//! What a look at the socket tells.

use std::io;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::{Error, Result};

/// A server that answers at all answers a start-up packet within this.
const LIMIT: Duration = Duration::from_secs(10);

/// What connections that only look call themselves; one that was closed may be listed a little longer.
pub(super) const PROBE: &str = "medtainer probe";

/// What the server said to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Up,
    /// It answers, but not yet or no longer to us.
    Busy,
    Down,
    /// It is up, but somebody dropped our database.
    NoDatabase,
}

/// Connect and leave again; an error is a server that answers and does not want us.
pub(super) async fn ask(options: &PgConnectOptions) -> Result<Answer> {
    let options = options.clone().application_name(PROBE);
    match tokio::time::timeout(LIMIT, options.connect()).await {
        Ok(Ok(connection)) => {
            connection.close().await.ok();
            Ok(Answer::Up)
        }
        Ok(Err(error)) => of(&error).ok_or_else(|| refused(error)),
        Err(_) => Err(Error::unavailable("Postgres runs but does not answer").hint(
            "The machine may be overloaded or the process stopped; `medtainer db status` shows its number.",
        )),
    }
}

/// What an error from connecting says; `None` when starting a server would not mend it.
pub(super) fn of(error: &sqlx::Error) -> Option<Answer> {
    match error {
        sqlx::Error::Io(e) => match e.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            // It died between accepting us and answering.
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => Some(Answer::Down),
            // The queue of connections is full.
            io::ErrorKind::WouldBlock => Some(Answer::Busy),
            _ => None,
        },
        sqlx::Error::Database(e) => match e.code().as_deref() {
            // Starting, recovering or stopping; told to stop; crashing.
            Some("57P03" | "57P01" | "57P02") => Some(Answer::Busy),
            Some("3D000") => Some(Answer::NoDatabase),
            // All places are taken: it is up.
            Some("53300" | "53400") => Some(Answer::Up),
            _ => None,
        },
        _ => None,
    }
}

/// A server that answers and does not want us.
pub(super) fn refused(error: sqlx::Error) -> Error {
    let code = match &error {
        sqlx::Error::Database(e) => e.code().map(|code| code.into_owned()),
        _ => None,
    };
    match code.as_deref() {
        Some(code) if code.starts_with("28") => {
            Error::auth("the private Postgres does not let this user in")
                .hint("Run medtainer as the user who made it, or as root.")
                .because(error)
        }
        Some("53100") => error.into(),
        _ => Error::unavailable("cannot connect to the private Postgres")
            .hint("`medtainer db status` shows how it is; `medtainer db stop` ends it, and the next command starts it again.")
            .because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_start_mends_is_down() {
        let io = |kind: io::ErrorKind| of(&sqlx::Error::Io(kind.into()));
        assert_eq!(io(io::ErrorKind::NotFound), Some(Answer::Down));
        assert_eq!(io(io::ErrorKind::ConnectionRefused), Some(Answer::Down));
        assert_eq!(io(io::ErrorKind::WouldBlock), Some(Answer::Busy));
        assert_eq!(io(io::ErrorKind::PermissionDenied), None);
        assert_eq!(of(&sqlx::Error::PoolTimedOut), None);
    }
}
