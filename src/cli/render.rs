//! An answer on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use serde_json::Value;

use crate::answer::{Answer, Source};
use crate::cli::options::{Color, Format, Options};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::output::{Column, Data, View};
use crate::project;
use crate::ui::csv;
use crate::ui::table::{self, Look};
use crate::ui::visible;

/// Where and how this process writes.
#[derive(Debug, Clone)]
pub struct Printer {
    options: Options,
    width: Option<u16>,
    stdout_color: bool,
    stderr_color: bool,
}

impl Printer {
    /// Looks at the terminal and at what the user asked for.
    pub fn new(options: Options, env: &Env) -> Self {
        let wanted = |terminal: bool| match options.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal && env.get("NO_COLOR").is_none() && env.get("TERM") != Some("dumb")
            }
        };
        let width = io::stdout().is_terminal().then(|| {
            env.get("COLUMNS")
                .and_then(|columns| columns.parse().ok())
                .or_else(|| {
                    rustix::termios::tcgetwinsize(io::stdout())
                        .ok()
                        .map(|size| size.ws_col)
                })
                .filter(|width| *width > 0)
                .unwrap_or(80)
        });
        Printer {
            width,
            stdout_color: wanted(io::stdout().is_terminal()),
            stderr_color: wanted(io::stderr().is_terminal()),
            options,
        }
    }

    /// Whether what is written to stderr may be coloured.
    pub fn colors_stderr(&self) -> bool {
        self.stderr_color
    }

    /// Prints an answer, and says on stderr what the reader should know besides.
    pub fn answer(&self, answer: &Answer, view: View) -> Result<()> {
        let mut out = String::new();
        let mut hidden = Vec::new();
        let format = self.options.format();
        self.warnings(answer);
        if matches!(view, View::Written) && answer.outcome.is_ok() {
            return Ok(());
        }
        match answer.outcome.as_ref().map_or_else(Error::answer, Some) {
            Some(data) => match (format, &self.options.jq) {
                (_, Some(filter)) => {
                    out = project::jq_lines(filter, &self.json(answer, data)?)?;
                }
                (Format::Json, None) => {
                    out = self.json(answer, data)?;
                    out.push('\n');
                }
                (Format::Ndjson, None) => self.ndjson(data, view, &mut out)?,
                (Format::Csv, None) => self.csv(data, view, &mut out)?,
                (Format::Table, None) => {
                    let searched = answer.metadata.source.is_some();
                    hidden = self.table_of(data, view, searched, &mut out)?;
                }
            },
            None => {
                if format == Format::Json || format == Format::Ndjson {
                    out = answer.json();
                    out.push('\n');
                }
            }
        }
        write_stdout(&out)?;
        if let Err(error) = &answer.outcome {
            self.error(error);
        }
        if format == Format::Table && answer.outcome.is_ok() {
            self.footer(answer, view);
            if !hidden.is_empty() {
                let hidden = hidden.join(", ");
                self.say(&format!(
                    "No room for: {hidden}. Widen the window, or choose with --fields."
                ));
            }
        }
        Ok(())
    }

    /// Prints rows that go with an error, for people only: JSON has them in the error's details.
    pub fn rows(&self, data: Data, view: View) -> Result<()> {
        let mut out = String::new();
        if self.options.format() == Format::Table && self.options.jq.is_none() {
            self.table_of(&data, view, false, &mut out)?;
        }
        write_stdout(&out)
    }

    /// The envelope with the fields that are wanted.
    fn json(&self, answer: &Answer, data: &Data) -> Result<String> {
        Ok(match &self.options.answer.fields {
            Some(fields) if answer.outcome.is_ok() => {
                let narrowed = Answer {
                    outcome: Ok(Data {
                        json: project::fields(&data.json, fields)?,
                        ..Data::default()
                    }),
                    metadata: answer.metadata.clone(),
                };
                narrowed.json()
            }
            _ => answer.json(),
        })
    }

    fn items(&self, data: &Data, view: View) -> Result<Vec<Value>> {
        let json = match &self.options.answer.fields {
            Some(fields) => project::fields(&data.json, fields)?,
            None => data.json.clone(),
        };
        let mut value: Value = serde_json::from_str(json.get())
            .map_err(|e| Error::internal("the answer is not JSON").because(e))?;
        match view {
            View::Table(_) => match value.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => Ok(items),
                _ => Ok(Vec::new()),
            },
            View::Record(_) | View::Text | View::Written => Ok(vec![value]),
        }
    }

    fn ndjson(&self, data: &Data, view: View, out: &mut String) -> Result<()> {
        for row in self.items(data, view)? {
            out.push_str(&row.to_string());
            out.push('\n');
        }
        Ok(())
    }

    fn csv(&self, data: &Data, view: View, out: &mut String) -> Result<()> {
        let names: Vec<String> = match (&self.options.answer.fields, view) {
            (Some(fields), _) => project::names(fields).map(str::to_owned).collect(),
            (None, View::Table(columns) | View::Record(columns)) => columns
                .iter()
                .map(|column| column.path.to_owned())
                .collect(),
            (None, View::Text | View::Written) => vec!["text".to_owned()],
        };
        out.push_str(&csv::lines(&names, true, &self.items(data, view)?)?);
        Ok(())
    }

    /// Draws for a person; answers with the headings of columns there was no room for.
    fn table_of(
        &self,
        data: &Data,
        view: View,
        searched: bool,
        out: &mut String,
    ) -> Result<Vec<&'static str>> {
        let look = Look {
            width: self.width,
            color: self.stdout_color,
            now: chrono::Utc::now(),
        };
        let rows = self.items(data, view)?;
        let chosen = |columns: &'static [Column]| -> Vec<Column> {
            match &self.options.answer.fields {
                None => columns.to_vec(),
                Some(fields) => project::names(fields)
                    .map(|name| {
                        columns
                            .iter()
                            .copied()
                            .find(|column| column.path == name)
                            .unwrap_or_else(|| {
                                // A few short names, for the length of one print.
                                let name: &'static str =
                                    Box::leak(name.to_owned().into_boxed_str());
                                Column::text(name, name)
                            })
                    })
                    .collect(),
            }
        };
        match view {
            View::Text | View::Written => {
                let text = rows
                    .first()
                    .and_then(|row| row.get("text"))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                out.push_str(text);
                if !text.ends_with('\n') && !text.is_empty() {
                    out.push('\n');
                }
            }
            View::Table(_) if rows.is_empty() => self.say(if searched {
                "Nothing found."
            } else {
                "Nothing to show."
            }),
            View::Table(columns) => {
                let drawn = table::table(&chosen(columns), &rows, look);
                out.push_str(&drawn.text);
                return Ok(drawn.hidden);
            }
            View::Record(columns) => {
                for row in &rows {
                    out.push_str(&table::record(&chosen(columns), row, look));
                }
            }
        }
        Ok(Vec::new())
    }

    fn footer(&self, answer: &Answer, view: View) {
        let meta = &answer.metadata;
        let mut parts = Vec::new();
        if let (View::Table(_), Some(count)) = (view, meta.count)
            && count > 0
        {
            parts.push(format!(
                "{count} {}",
                if count == 1 { "row" } else { "rows" }
            ));
        }
        match meta.source {
            Some(Source::Sample) => parts.push("sample data".to_owned()),
            Some(Source::Live) => parts.push("live".to_owned()),
            Some(Source::Stale) => parts.push("STALE".to_owned()),
            Some(Source::Cached) | None => {}
        }
        if let Some(as_of) = meta.as_of {
            let now = chrono::Utc::now();
            parts.push(format!(
                "as of {}",
                table::show(crate::output::Format::Age, &as_of.to_rfc3339().into(), now)
            ));
        }
        if let Some(next) = &meta.next {
            parts.push(format!("more: --after {}", shell_word(next)));
        }
        if !parts.is_empty() {
            self.say(&parts.join(" · "));
        }
    }

    fn warnings(&self, answer: &Answer) {
        for warning in &answer.metadata.warnings {
            self.labelled("warning", "33", warning);
        }
    }

    /// Prints an error and its hint; with `-v` what caused it.
    pub fn error(&self, error: &Error) {
        self.write_error("error", "31", error.message());
        if let Some(candidates) = error
            .details_value()
            .and_then(|details| details.get("candidates"))
            .and_then(Value::as_array)
        {
            for candidate in candidates {
                let text = |name: &str| {
                    candidate
                        .get(name)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                };
                let line = format!("  {}  {}", text("id"), text("label"));
                write_stderr(&format!("{}\n", visible(&line)));
            }
        }
        if let Some(hint) = error.hint_text() {
            self.write_error("hint", "36", hint);
        }
        if self.options.verbose {
            for cause in error.causes() {
                self.write_error("cause", "2", &cause);
            }
        }
    }

    /// Says something that is not the answer.
    pub fn say(&self, text: &str) {
        if !self.options.quiet {
            write_stderr(&format!("{}\n", visible(text)));
        }
    }

    /// A sentence the reader should not miss.
    pub fn warn(&self, text: &str) {
        self.labelled("warning", "33", text);
    }

    fn labelled(&self, label: &str, color: &str, text: &str) {
        if !self.options.quiet {
            self.write_error(label, color, text);
        }
    }

    fn write_error(&self, label: &str, color: &str, text: &str) {
        let text = visible(text);
        if self.stderr_color {
            write_stderr(&format!("\u{1b}[{color}m{label}:\u{1b}[0m {text}\n"));
        } else {
            write_stderr(&format!("{label}: {text}\n"));
        }
    }
}

/// A word that any shell reads as this text, for a person to copy.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:,/@%+=".contains(c);
    // A tilde means something only at the beginning of a word.
    if text
        .chars()
        .enumerate()
        .all(|(i, c)| plain(c) || i > 0 && c == '~')
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Writes to stdout; a reader that went away is no error of ours.
pub fn write_stdout(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::internal("stdout cannot be written")
                .hint("Is the disk full?")
                .because(e))
        }
        _ => Ok(()),
    }
}

fn write_stderr(text: &str) {
    // When stderr is gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
