//! The options every command takes.

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::values::Span;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// One object with status, data and metadata
    Json,
    /// One line of JSON for each row
    Ndjson,
    /// Comma-separated values with a heading
    Csv,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How fresh an answer has to be and which part of it is wanted; a model may say this too.
#[derive(Debug, Clone, Default, Args)]
pub struct AnswerOptions {
    /// Answer live or fail, never from the cache
    #[arg(long, global = true, help_heading = "Answer", conflicts_with_all = ["max_age", "offline"],
          env = "MEDTAINER_FRESH", hide_env = true, value_parser = FalseyValueParser::new())]
    pub fresh: bool,

    /// Accept cached answers up to this old, such as `5m`
    #[arg(
        long,
        global = true,
        help_heading = "Answer",
        value_name = "SPAN",
        conflicts_with = "offline",
        env = "MEDTAINER_MAX_AGE",
        hide_env = true
    )]
    pub max_age: Option<Span>,

    /// Answer from the cache alone, however old it is
    #[arg(long, global = true, help_heading = "Answer",
          env = "MEDTAINER_OFFLINE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub offline: bool,

    /// Only these fields, separated by commas, such as `id,name`
    #[arg(
        long,
        global = true,
        help_heading = "Answer",
        value_name = "FIELDS",
        env = "MEDTAINER_FIELDS",
        hide_env = true
    )]
    pub fields: Option<String>,
}

/// What a command that writes may send; a model may say this too.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct WriteOptions {
    /// Show what would be done, and send nothing but reads
    #[arg(long, global = true, help_heading = "Writes",
          env = "MEDTAINER_DRY_RUN", hide_env = true, value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
}

/// The options every command takes in a terminal.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// How fresh and which part.
    #[command(flatten)]
    pub answer: AnswerOptions,

    /// What may be sent.
    #[command(flatten)]
    pub write: WriteOptions,

    /// Do not ask for confirmation, where policy lets that count
    #[arg(long, short = 'y', global = true, help_heading = "Writes",
          env = "MEDTAINER_YES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub yes: bool,

    /// Filter the JSON answer with a jq expression, such as `.data.items[].id`
    #[arg(
        long,
        global = true,
        help_heading = "Answer",
        value_name = "EXPR",
        env = "MEDTAINER_JQ",
        hide_env = true
    )]
    pub jq: Option<String>,

    /// Print a table, or JSON, NDJSON or CSV
    #[arg(
        long,
        short,
        global = true,
        help_heading = "Answer",
        value_name = "FORMAT",
        value_enum,
        env = "MEDTAINER_OUTPUT",
        hide_env = true
    )]
    pub output: Option<Format>,

    /// Short for `--output json`
    #[arg(long, global = true, help_heading = "Answer", conflicts_with = "output",
          env = "MEDTAINER_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    pub json: bool,

    /// Fail rather than answer with stale or partial data
    #[arg(long, global = true, help_heading = "Answer",
          env = "MEDTAINER_STRICT", hide_env = true, value_parser = FalseyValueParser::new())]
    pub strict: bool,

    /// The business to work for
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "NAME",
        env = "MEDTAINER_BUSINESS",
        hide_env = true
    )]
    pub business: Option<String>,

    /// Use sample data: no account, no network
    #[arg(long, global = true, help_heading = "Global options",
          env = "MEDTAINER_SANDBOX", hide_env = true, value_parser = FalseyValueParser::new())]
    pub sandbox: bool,

    /// Wait at most this long for providers; a read that fetches first waits 30s unless told
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "SPAN",
        env = "MEDTAINER_TIMEOUT",
        hide_env = true
    )]
    pub timeout: Option<Span>,

    /// Say nothing on stderr but errors
    #[arg(long, short, global = true, help_heading = "Global options", conflicts_with = "verbose",
          env = "MEDTAINER_QUIET", hide_env = true, value_parser = FalseyValueParser::new())]
    pub quiet: bool,

    /// Show causes and log what happens
    #[arg(long, short, global = true, help_heading = "Global options",
          env = "MEDTAINER_VERBOSE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub verbose: bool,

    /// Use colour: auto, always or never
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "WHEN",
        value_enum,
        default_value = "auto",
        env = "MEDTAINER_COLOR",
        hide_env = true,
        hide_possible_values = true
    )]
    pub color: Color,
}

/// Options of which one at most makes sense.
pub(super) const RIVALS: &[&[&str]] = &[
    &["fresh", "max_age", "offline"],
    &["json", "output"],
    &["quiet", "verbose"],
];

impl Options {
    /// How the answer is printed.
    pub fn format(&self) -> Format {
        match self.output {
            Some(format) => format,
            None if self.json || self.jq.is_some() => Format::Json,
            None => Format::Table,
        }
    }
}
