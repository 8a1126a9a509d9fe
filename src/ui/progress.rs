//! Progress of anything longer than half a second, for whoever watches.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Done so far.
    pub done: u64,
    /// To be done in all, when that is known.
    pub total: Option<u64>,
    /// What is being done, for a person.
    pub message: String,
}

/// Somebody who watches.
pub trait Watcher: Send + Sync {
    /// Takes note of a step.
    fn step(&self, step: Step);
    /// Says something while it lasts.
    fn say(&self, _text: &str) {}
    /// Says that there is nothing more to watch.
    fn finish(&self) {}
}

/// Nobody watches.
#[derive(Debug)]
pub struct Nobody;

impl Watcher for Nobody {
    fn step(&self, _: Step) {}
}

/// A bar on a terminal's stderr, drawn once half a second has passed.
#[derive(Debug)]
pub struct Bar {
    started: Instant,
    bar: Mutex<Option<ProgressBar>>,
}

impl Bar {
    /// A bar that is not drawn yet.
    pub fn new() -> Self {
        Bar {
            started: Instant::now(),
            bar: Mutex::new(None),
        }
    }

    /// Whether a bar would be seen.
    pub fn is_visible() -> bool {
        std::io::stderr().is_terminal()
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

impl Watcher for Bar {
    fn step(&self, step: Step) {
        if self.started.elapsed() < Duration::from_millis(500) {
            return;
        }
        let mut slot = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let bar = slot.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        });
        match step.total {
            Some(total) => {
                bar.set_length(total.max(step.done));
                bar.set_style(style(
                    "{msg} {wide_bar} {human_pos}/{human_len} ({eta} left)",
                ));
            }
            None => bar.set_style(style("{spinner} {msg} {human_pos}")),
        }
        bar.set_position(step.done);
        bar.set_message(step.message);
    }

    fn say(&self, text: &str) {
        let slot = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match slot.as_ref() {
            Some(bar) => bar.println(text),
            // Nothing else writes there while a call runs; when stderr is gone nobody watches.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    fn finish(&self) {
        if let Some(bar) = self
            .bar
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()
        {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.finish();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
