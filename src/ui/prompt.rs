//! Asking at the terminal, and leaving it as it was found.

use std::io::{ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// How the terminal was before the question that is open.
static FOUND: Mutex<Option<Termios>> = Mutex::new(None);

/// Asks a question of `dialoguer`; a Ctrl-C ends it, whatever the terminal was doing.
pub async fn ask<T: Send + 'static>(
    cancel: &CancellationToken,
    question: impl FnOnce() -> dialoguer::Result<T> + Send + 'static,
) -> Result<T> {
    let unanswered = || Error::usage("the question was not answered");
    // What listens for signals may not have had its turn yet.
    tokio::task::yield_now().await;
    if cancel.is_cancelled() {
        return Err(unanswered());
    }
    let open = Open::remember();
    // The read cannot be called off: its thread ends with the process.
    let asked = tokio::task::spawn_blocking(question);
    let answer = tokio::select! {
        answer = asked => answer,
        () = cancel.cancelled() => return Err(unanswered()),
    };
    match answer {
        Ok(Ok(answer)) => {
            open.answered();
            Ok(answer)
        }
        Ok(Err(dialoguer::Error::IO(error))) => {
            if error.kind() == ErrorKind::Interrupted {
                // Whoever read the key raised the signal, which is on its way.
                cancel.cancelled().await;
            }
            Err(unanswered().because(error))
        }
        Err(error) => Err(Error::internal("the question could not be asked").because(error)),
    }
}

/// Puts the terminal back as it was before a question that nobody answered.
pub(crate) fn restore() {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = found.as_ref() {
        // Neither can be mended where it fails.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, found);
        let _ = dialoguer::console::Term::stderr().show_cursor();
    }
}

/// A question that was not answered yet.
struct Open;

impl Open {
    fn remember() -> Open {
        keep(tcgetattr(std::io::stdin()).ok());
        Open
    }

    fn answered(self) {
        keep(None);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let open = FOUND
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some();
        if open {
            restore();
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn keep(found: Option<Termios>) {
    *FOUND.lock().unwrap_or_else(PoisonError::into_inner) = found;
}
