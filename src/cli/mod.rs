//! The terminal's face: words in, an answer on stdout, an exit code out.

pub mod complete;
mod log;
pub mod options;
mod render;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::answer::{Answer, Metadata};
use crate::app::{App, Product};
use crate::context::{Context, Invocation};
use crate::env::Env;
use crate::error::{Error, Kind, Result};
use crate::output::View;
use crate::runner;
use crate::schema;
use crate::store::audit::Caller;
use crate::tree::{Leaf, Parsed};
use crate::ui::person::{AtTerminal, Person};
use crate::ui::progress::{Bar, Nobody, Watcher};
use crate::ui::prompt;
use crate::values::FromInput;

use self::options::{Format, Options};
pub(crate) use self::render::shell_word;
pub use self::render::{Printer, write_stdout};

/// The exit code of a process that was interrupted, as shells count it.
const INTERRUPTED: u8 = 130;

/// What a command of the house works with.
pub struct Host {
    /// This process.
    pub app: Arc<App>,
    /// What the user asked for besides the command.
    pub options: Options,
    /// Says things that are not the answer.
    pub printer: Printer,
    /// Ends it early: Ctrl-C or SIGTERM.
    pub cancel: CancellationToken,
    execution: Option<Arc<OnceCell<i64>>>,
}

impl Host {
    /// Whether a person can be asked.
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Runs another command for this person, in the sandbox if `sandbox` says so.
    pub async fn run_words(&self, words: &[&str], sandbox: bool) -> Result<(Answer, View)> {
        let product = self.app.product;
        let args = std::iter::once(product.name).chain(words.iter().copied());
        let matches = command(product)
            .try_get_matches_from(args)
            .map_err(|error| schema::from_clap(&error))?;
        let tree = (product.tree)();
        let (path, leaf, mut matches) = tree
            .resolve(matches)
            .ok_or_else(|| Error::internal(format!("`{}` is no command", words.join(" "))))?;
        let said = Options::from_arg_matches_mut(&mut matches)
            .map_err(|error| schema::from_clap(&error))?;
        let mut invocation = self.invocation()?;
        invocation.write.dry_run |= said.write.dry_run;
        invocation.business = self.app.business(
            self.options.business.as_deref(),
            sandbox || self.options.sandbox,
        )?;
        let watcher = invocation.watcher.clone();
        let answer = runner::run(&self.app, &path, leaf, matches, invocation).await;
        watcher.finish();
        Ok((answer, (leaf.view)()))
    }

    /// What reaches the store and the providers for this command.
    pub async fn context(&self) -> Result<Context> {
        Context::for_chore(self.app.clone(), self.invocation()?, self.execution.clone()).await
    }

    /// The number under which its requests were recorded, if it sent any.
    pub(crate) fn execution(&self) -> Option<i64> {
        self.execution.as_ref()?.get().copied()
    }

    /// How a command run on this person's behalf is called.
    pub fn invocation(&self) -> Result<Invocation> {
        let watcher: Arc<dyn Watcher> = if Bar::is_visible() && !self.options.quiet {
            Arc::new(Bar::new())
        } else {
            Arc::new(Nobody)
        };
        let caller = if self.is_interactive() {
            Caller::Terminal
        } else {
            Caller::Script
        };
        let business = self
            .app
            .business(self.options.business.as_deref(), self.options.sandbox)?;
        Ok(Invocation {
            answer: self.options.answer.clone(),
            timeout: self.options.timeout.map(|span| span.duration()),
            strict: self.options.strict,
            write: self.options.write,
            yes: self.options.yes,
            person: self.is_interactive().then(|| {
                Arc::new(AtTerminal {
                    cancel: self.cancel.clone(),
                }) as Arc<dyn Person>
            }),
            watcher,
            ..Invocation::new(caller, business, self.cancel.clone())
        })
    }
}

/// The whole command line as clap knows it.
pub fn command(product: &Product) -> clap::Command {
    root(product, (product.tree)().clap())
        .long_about(long_about(product))
        .after_long_help(exit_codes())
}

fn root(product: &Product, tree: clap::Command) -> clap::Command {
    let command = tree
        .name(product.name)
        .version(product.version)
        .propagate_version(false);
    Options::augment_args(command)
        .about(product.about)
        .max_term_width(100)
        .infer_long_args(false)
        .disable_help_subcommand(false)
}

fn long_about(product: &Product) -> String {
    format!(
        "{}\n\nEvery command answers from a local cache while it is fresh and asks the provider when it is not. \
         Try `{} demo`: it needs no account. `{} doctor` checks an installation.",
        product.about, product.name, product.name
    )
}

/// The table of exit codes, for the help.
fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n   0  done\n");
    for kind in Kind::ALL {
        text.push_str(&format!("  {:>2}  {}\n", kind.exit_code(), kind.meaning()));
    }
    text
}

/// Runs the process: parses its words, runs the command, prints the answer.
pub fn main(product: &'static Product) -> ExitCode {
    complete::answer(product);
    let started = Instant::now();
    let args: Vec<OsString> = std::env::args_os().collect();
    let env = Env::of_process();
    let matches = match parse(product, &args, &env).and_then(|matches| {
        let input = from_input(product, &args, &matches)?;
        input.map_or(Ok(matches), |args| parse(product, &args, &env))
    }) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error, &args, &env),
    };
    let tree = (product.tree)();
    // Global options are handed down to the command that was named, never up.
    let Some((path, leaf, mut matches)) = tree.resolve(matches) else {
        return ExitCode::from(Kind::Usage.exit_code());
    };
    let options = match Options::from_arg_matches_mut(&mut matches) {
        Ok(options) => options,
        Err(error) => return refuse(&error, &args, &env),
    };
    let printer = Printer::new(options.clone(), &env);
    let serves = leaf.serves;
    log::start(&options, &env, serves, printer.colors_stderr());
    let runtime = if serves {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(e) => {
            printer.error(&Error::internal("the runtime could not start").because(e));
            return ExitCode::from(Kind::Internal.exit_code());
        }
    };
    let cancel = CancellationToken::new();
    let answer = runtime.block_on(async {
        watch_signals(cancel.clone());
        let app = match App::new(product, env, serves) {
            Ok(app) => app,
            Err(error) => return failed(error, started),
        };
        let host = Host {
            app,
            options: options.clone(),
            printer: printer.clone(),
            cancel: cancel.clone(),
            execution: leaf.audited.then(Arc::default),
        };
        Box::pin(run(&host, &path, leaf, matches, started)).await
    });
    let code = match printer.answer(&answer, (leaf.view)()) {
        Ok(()) => answer.exit_code(),
        Err(error) => {
            printer.error(&error);
            error.kind().exit_code()
        }
    };
    prompt::restore();
    // Nothing is left to do, and unwinding a runtime and a pool takes longer than a cached read.
    std::process::exit(if cancel.is_cancelled() && !serves {
        INTERRUPTED.into()
    } else {
        code.into()
    })
}

async fn run(
    host: &Host,
    path: &[&str],
    leaf: &Leaf,
    mut matches: ArgMatches,
    started: Instant,
) -> Answer {
    if !leaf.is_tool() {
        let began = (chrono::Utc::now(), Instant::now());
        let params = serde_json::Value::Object(schema::given(&leaf.clap(), &matches));
        let outcome = match leaf.parse(&mut matches) {
            Ok(Parsed::Chore(chore)) => chore.run(host).await,
            Ok(Parsed::Command(_)) => Err(Error::internal("a command was taken for a chore")),
            Err(error) => Err(schema::from_clap(&error)),
        };
        // The process ends with the command, and with it whatever was not written down.
        host.app.flush().await;
        let mut answer = finished(outcome, started);
        if let Ok(business) = host
            .app
            .business(host.options.business.as_deref(), host.options.sandbox)
        {
            answer.metadata.business = business.to_string();
        }
        if leaf.audited
            && runner::record(host, path, leaf, &params, began, &mut answer)
                .await
                .is_err()
        {
            let warning = "this call could not be recorded in the audit trail";
            answer.metadata.warnings.push(warning.to_owned());
        }
        return answer;
    }
    let mut invocation = match host.invocation() {
        Ok(invocation) => invocation,
        Err(error) => return failed(error, started),
    };
    loop {
        let watcher = invocation.watcher.clone();
        let answer = runner::run(&host.app, path, leaf, matches.clone(), invocation.clone()).await;
        watcher.finish();
        match choose(host, &answer).await {
            Some(chosen) => invocation.chosen = Some(chosen),
            None => return answer,
        }
    }
}

/// Lets a person pick among the candidates of an ambiguous argument.
async fn choose(host: &Host, answer: &Answer) -> Option<(String, String)> {
    let error = answer.outcome.as_ref().err()?;
    let details = error.details_value()?;
    let argument = details.get("argument")?.as_str()?;
    let candidates = details.get("candidates")?.as_array()?;
    if !host.is_interactive() || host.options.format() != Format::Table {
        return None;
    }
    let text = |candidate: &serde_json::Value, name: &str| {
        candidate
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    // A line each: what is drawn over again counts lines, and does not know of wrapped ones.
    let width = usize::from(dialoguer::console::Term::stderr().size().1).saturating_sub(3);
    let labels: Vec<_> = candidates
        .iter()
        .map(|c| crate::ui::visible(&format!("{}  {}", text(c, "id"), text(c, "label"))))
        .map(|label| dialoguer::console::truncate_str(&label, width, "…").into_owned())
        .collect();
    let title = format!("{}; which one", error.message());
    let picked = prompt::ask(&host.cancel, move || {
        dialoguer::Select::new()
            .with_prompt(title)
            .items(&labels)
            .default(0)
            .interact_opt()
    })
    .await
    .ok()??;
    Some((argument.to_owned(), text(&candidates[picked], "id")))
}

fn finished(outcome: Result<crate::output::Data>, started: Instant) -> Answer {
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut metadata = Metadata {
        latency_ms,
        complete: outcome.is_ok(),
        ..Metadata::default()
    };
    if let Ok(data) = &outcome {
        metadata.count = data.count;
        metadata.complete = data.complete;
        metadata.next.clone_from(&data.next);
    }
    Answer { outcome, metadata }
}

fn failed(error: Error, started: Instant) -> Answer {
    finished(Err(error), started)
}

/// The words with the lines of standard input in the place of a `-`, where the command takes them.
fn from_input(
    product: &Product,
    args: &[OsString],
    matches: &ArgMatches,
) -> Result<Option<Vec<OsString>>, clap::Error> {
    if !args.iter().skip(1).any(|arg| arg == "-") {
        return Ok(None);
    }
    let tree = (product.tree)();
    let Some((_, leaf, matches)) = tree.resolve(matches.clone()) else {
        return Ok(None);
    };
    let command = leaf.clap();
    let asks = command.get_arguments().any(|arg| {
        let values = || matches.get_many::<String>(arg.get_id().as_str());
        arg.get::<FromInput>().is_some()
            && values().is_some_and(|mut values| values.any(|value| value == "-"))
    });
    if !asks {
        return Ok(None);
    }
    let refused = |kind, why: String| clap::Error::raw(kind, format!("{why}\n"));
    let text = std::io::read_to_string(std::io::stdin())
        .map_err(|e| refused(ErrorKind::Io, format!("standard input cannot be read: {e}")))?;
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if let Some(line) = lines.iter().find(|line| line.starts_with('-')) {
        return Err(refused(
            ErrorKind::InvalidValue,
            format!(
                "a line of standard input is not a value: `{}`",
                line.escape_debug()
            ),
        ));
    }
    let mut lines = lines.into_iter().map(OsString::from);
    Ok(Some(
        args.iter()
            .flat_map(|arg| {
                if arg == "-" {
                    lines.by_ref().collect()
                } else {
                    vec![arg.clone()]
                }
            })
            .collect(),
    ))
}

/// Parses the words of a process.
///
/// To make every command of the tree is most of what parsing costs, so only those are made whose names
/// are among the words. What does not parse so is parsed again, for a help or a refusal that knows the
/// whole tree.
fn parse(product: &Product, args: &[OsString], env: &Env) -> Result<ArgMatches, clap::Error> {
    let is_given = |name: &str| args.iter().skip(1).any(|arg| arg == name);
    let few = root(product, (product.tree)().clap_of(&is_given));
    parse_with(few, args, env).or_else(|error| match error.kind() {
        ErrorKind::DisplayVersion => Err(error),
        _ => parse_with(command(product), args, env),
    })
}

/// Parses the words. An empty variable is none, and a variable steps back where words say otherwise: to
/// the parser the two would contradict each other.
fn parse_with(
    command: clap::Command,
    args: &[OsString],
    env: &Env,
) -> Result<ArgMatches, clap::Error> {
    let without = |command: clap::Command, names: &[String]| {
        names.iter().fold(command, |command, name| {
            command.mut_arg(name, |arg| arg.env(Resettable::Reset))
        })
    };
    let (set, empty): (Vec<_>, Vec<_>) = command
        .get_arguments()
        .filter_map(|arg| {
            Some((
                arg.get_id().to_string(),
                arg.get_env()?.to_str()?.to_owned(),
            ))
        })
        .filter(|(_, variable)| std::env::var_os(variable).is_some())
        .partition(|(_, variable)| env.get(variable).is_some());
    let names = |pairs: Vec<(String, String)>| pairs.into_iter().map(|(name, _)| name).collect();
    let (set, empty): (Vec<String>, Vec<String>) = (names(set), names(empty));
    let command = without(command, &empty);
    let contested = |group: &&&[&str]| group.iter().any(|name| set.iter().any(|set| set == name));
    let groups: Vec<_> = options::RIVALS.iter().filter(contested).collect();
    if groups.is_empty() {
        return command.try_get_matches_from(args);
    }
    let rivals = |groups: &[&&[&str]]| -> Vec<String> {
        groups
            .iter()
            .flat_map(|group| group.iter().map(|name| (*name).to_owned()))
            .collect()
    };
    let bare = without(command.clone(), &rivals(&groups));
    let matches = bare.try_get_matches_from(args)?;
    let mut leaf = &matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let said = |group: &&&&[&str]| {
        group
            .iter()
            .any(|name| leaf.value_source(name) == Some(ValueSource::CommandLine))
    };
    let silent: Vec<_> = groups.iter().filter(said).copied().collect();
    without(command, &rivals(&silent)).try_get_matches_from(args)
}

/// What a command line that does not parse ends with; help and version are answers.
fn refuse(error: &clap::Error, args: &[OsString], env: &Env) -> ExitCode {
    let is_json = |format: &str| matches!(format, "json" | "ndjson");
    let named = |arg: &OsString| -> Option<bool> {
        let arg = arg.to_str()?;
        let format = arg.strip_prefix("--output=").or_else(|| {
            let short = arg.strip_prefix("-o").filter(|_| !arg.starts_with("--"))?;
            Some(short.trim_start_matches('='))
        });
        format.map(is_json)
    };
    let asks_for_json = args
        .iter()
        .any(|arg| arg == "--json" || named(arg) == Some(true))
        || args.windows(2).any(|pair| {
            (pair[0] == "--output" || pair[0] == "-o") && pair[1].to_str().is_some_and(is_json)
        })
        || env.get("MEDTAINER_OUTPUT").is_some_and(is_json)
        || env.is_on("MEDTAINER_JSON");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A pager that was closed early is no error.
            let _ = show(error, args, env);
            ExitCode::SUCCESS
        }
        _ => {
            if asks_for_json {
                let mut json = failed(schema::from_clap(error), Instant::now()).json();
                json.push('\n');
                let _ = write_stdout(&json);
            }
            let _ = show(error, args, env);
            ExitCode::from(Kind::Usage.exit_code())
        }
    }
}

/// Prints what the parser has to say; it looks at the terminal, but not at our `--color`.
fn show(error: &clap::Error, args: &[OsString], env: &Env) -> std::io::Result<()> {
    use std::io::Write;
    let said = |when: &str| {
        let given = args
            .windows(2)
            .any(|pair| pair[0] == "--color" && pair[1] == when);
        given || args.iter().any(|arg| *arg == *format!("--color={when}"))
    };
    let named = said("never") || said("always") || said("auto");
    let never = said("never") || !named && env.get("MEDTAINER_COLOR") == Some("never");
    let always = said("always") || !named && env.get("MEDTAINER_COLOR") == Some("always");
    let text = match (never, always) {
        (true, _) => error.render().to_string(),
        (_, true) => error.render().ansi().to_string(),
        _ => return error.print(),
    };
    if error.use_stderr() {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    }
}

/// The first Ctrl-C or SIGTERM asks for an end, the second does not ask.
fn watch_signals(cancel: CancellationToken) {
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return;
        };
        for _ in 0..2 {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if cancel.is_cancelled() {
                prompt::restore();
                std::process::exit(INTERRUPTED.into());
            }
            cancel.cancel();
        }
    });
}
