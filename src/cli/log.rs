//! What the program writes about its own work.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::options::Options;
use crate::env::Env;

/// Logs go to stderr: errors, and our own warnings where a command serves; more with `-v`, or as
/// `MEDTAINER_LOG` says.
pub(super) fn start(options: &Options, env: &Env, serves: bool, color: bool) {
    let default = if options.verbose {
        "info,medtainer_core=debug,medtainer=debug"
    } else if serves {
        "error,medtainer_core=warn,medtainer=warn"
    } else {
        "error"
    };
    let asked = env.get("MEDTAINER_LOG");
    let filter = asked
        .and_then(|text| text.parse::<EnvFilter>().ok())
        .unwrap_or_else(|| EnvFilter::new(default));
    let text = asked.unwrap_or(default);
    let filter = match quiet(text).and_then(|quiet| quiet.parse().ok()) {
        Some(quiet) => filter.add_directive(quiet),
        None => filter,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(color)
        .init();
}

/// The library of the protocol, by the name its lines begin with.
const LIBRARY: &str = "rmcp";

/// What keeps that library from writing whole requests and answers, and with them what people are called,
/// into a log that is to say much; where it is not named itself.
fn quiet(filter: &str) -> Option<&'static str> {
    let words = filter.split(',').map(str::trim);
    let mut says_much = false;
    for word in words.filter(|word| !word.is_empty()) {
        // A level alone is for all; a name alone says everything.
        let (name, level) = match word.split_once('=') {
            Some(pair) => pair,
            None if word.parse::<LevelFilter>().is_ok() => ("", word),
            None => (word, ""),
        };
        // Names are beginnings of names, and what is in brackets may be any of them.
        let name = name.split('[').next().unwrap_or_default();
        if name == LIBRARY {
            return None;
        }
        let level = Some(level).filter(|level| !level.is_empty());
        let level = level.and_then(|level| level.parse().ok());
        let level = level.unwrap_or(LevelFilter::TRACE);
        says_much |= LIBRARY.starts_with(name) && level > LevelFilter::WARN;
    }
    says_much.then_some("rmcp=warn")
}

#[cfg(test)]
mod tests {
    use super::quiet;

    #[test]
    fn the_library_is_kept_quiet_unless_it_is_named() {
        for filter in [
            "trace",
            "DEBUG",
            "5",
            "info,medtainer_core=debug",
            "r=trace",
            "error,rmc=info",
            "r",
            "rm=",
            "[call]=debug",
            "hyper=info, debug",
            "rmcp::service=debug,trace",
        ] {
            assert_eq!(quiet(filter), Some("rmcp=warn"), "{filter}");
        }
        for filter in [
            "",
            "error",
            "warn,r=warn",
            "medtainer_core=trace",
            "reqwest=trace",
            "off",
            "rmcp=debug",
            "info,rmcp=debug",
            "rmcp,trace",
        ] {
            assert_eq!(quiet(filter), None, "{filter}");
        }
    }
}
