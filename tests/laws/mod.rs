//! What holds for every command, the ones not written yet included: one parser, two syntaxes.

mod house;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, Args, FromArgMatches};
use medtainer_core::cli::options::{AnswerOptions, Options};
use medtainer_core::mcp::http::{Origin, PublicUrl};
use medtainer_core::mcp::keys::Rate;
use medtainer_core::privacy::Classes;
use medtainer_core::tree::Leaf;
use medtainer_core::values::{Moment, Range, Span};
use medtainer_core::when::When;
use medtainer_core::{Error, Kind, cli, schema};
use serde_json::{Map, Value, json};

type Given = Map<String, Value>;

/// What the parser makes of words: the parsed command as text.
fn by_words(path: &[&str], words: Vec<OsString>) -> Result<String, Error> {
    let command = cli::command(&medtainer::PRODUCT);
    let all = std::iter::once("medtainer".into())
        .chain(path.iter().map(OsString::from))
        .chain(words);
    let matches = command
        .try_get_matches_from(all)
        .map_err(|e| schema::from_clap(&e))?;
    let tree = medtainer::tree();
    let (found, leaf, mut matches) = tree.resolve(matches).expect("a command was named");
    assert_eq!(found, path);
    leaf.parse(&mut matches)
        .map(|parsed| format!("{parsed:?}"))
        .map_err(|e| schema::from_clap(&e))
}

/// What it makes of JSON.
fn by_json(leaf: &Leaf, given: &Given) -> Result<String, Error> {
    let mut matches = schema::parse(leaf.clap(), given)?;
    leaf.parse(&mut matches)
        .map(|parsed| format!("{parsed:?}"))
        .map_err(|e| schema::from_clap(&e))
}

/// The words a person would write for this JSON.
fn spoken(leaf: &Leaf, given: &Given) -> Vec<OsString> {
    let (mut words, mut plain, mut dashes) = (Vec::new(), Vec::new(), false);
    let command = leaf.clap();
    for arg in schema::arguments(&command) {
        let values = match given.get(arg.get_id().as_str()) {
            None | Some(Value::Null | Value::Bool(false)) => continue,
            Some(Value::Bool(true)) => vec![None],
            Some(Value::Array(values)) => values.iter().map(|value| Some(text(value))).collect(),
            Some(value) => vec![Some(text(value))],
        };
        for value in values {
            match (arg.get_long(), value) {
                (Some(long), None) => words.push(format!("--{long}").into()),
                (Some(long), Some(value)) if value.starts_with('-') => {
                    words.push(format!("--{long}={value}").into())
                }
                (Some(long), Some(value)) => {
                    words.extend([format!("--{long}").into(), value.into()])
                }
                (None, Some(value)) => {
                    dashes |= value.starts_with('-') || arg.is_last_set();
                    plain.push(value.into());
                }
                (None, None) => panic!("a flag without a name"),
            }
        }
    }
    if dashes {
        words.push("--".into());
    }
    words.extend(plain);
    words
}

/// Whether a place is left out before one that is there: words would move up, names do not.
fn leaves_a_gap(leaf: &Leaf, given: &Given) -> bool {
    let command = leaf.clap();
    let places: Vec<bool> = schema::arguments(&command)
        .filter(|arg| arg.is_positional())
        .map(|arg| {
            given
                .get(arg.get_id().as_str())
                .is_some_and(|value| !value.is_null())
        })
        .collect();
    places.windows(2).any(|pair| !pair[0] && pair[1])
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn is_of(arg: &Arg, parser: impl Into<ValueParser>) -> bool {
    arg.get_value_parser().type_id() == parser.into().type_id()
}

/// The smallest and the largest number of the argument's type, for an integer.
fn bounds(arg: &Arg) -> Option<(i128, i128)> {
    macro_rules! find { ($($t:ty),*) => { $(if is_of(arg, clap::value_parser!($t)) { return Some((<$t>::MIN.into(), <$t>::MAX.into())); })* } }
    find!(u8, u16, u32, u64, i8, i16, i32, i64);
    None
}

/// Values the argument takes, every kind of them.
fn good(arg: &Arg) -> Vec<Value> {
    let choices: Vec<Value> = arg
        .get_possible_values()
        .iter()
        .map(|choice| choice.get_name().into())
        .collect();
    let one: Vec<Value> = if matches!(arg.get_action(), ArgAction::SetTrue) {
        return vec![json!(true), json!(false), Value::Null];
    } else if !choices.is_empty() {
        choices
    } else if let Some(range) = arg.get::<Range>() {
        vec![
            json!(range.min),
            json!(range.max),
            json!(range.max.to_string()),
        ]
    } else if let Some((min, max)) = bounds(arg) {
        // What has no range of its own takes all its type takes.
        vec![
            json!(i64::try_from(min).unwrap()),
            serde_json::from_str(&max.to_string()).unwrap(),
        ]
    } else if is_of(arg, clap::value_parser!(String)) || is_of(arg, clap::value_parser!(PathBuf)) {
        [
            "x",
            "two words",
            "--json",
            "-1",
            "a=b",
            "é, \"q\" 'q'",
            "--",
            "\n",
            "7",
        ]
        .map(Value::from)
        .into()
    } else if is_of(arg, clap::value_parser!(Span)) {
        ["90s", "2h 30m", "0s"].map(Value::from).into()
    } else if is_of(arg, clap::value_parser!(Moment)) {
        ["7d", "2026-11-01", "2026-11-01T09:00:00+02:00"]
            .map(Value::from)
            .into()
    } else if is_of(arg, clap::value_parser!(When)) {
        ["fri 9am", "in 3 days", "2026-12-01 14:30"]
            .map(Value::from)
            .into()
    } else if is_of(arg, clap::value_parser!(SocketAddr)) {
        ["127.0.0.1:1", "[::1]:2"].map(Value::from).into()
    } else if is_of(arg, clap::value_parser!(PublicUrl)) || is_of(arg, clap::value_parser!(Origin))
    {
        ["https://tools.example.com", "http://localhost:8000"]
            .map(Value::from)
            .into()
    } else if is_of(arg, clap::value_parser!(Rate)) {
        ["60/m", "1/s"].map(Value::from).into()
    } else if is_of(arg, clap::value_parser!(Classes)) {
        ["contact", "name,notes"].map(Value::from).into()
    } else {
        panic!(
            "`{}` has a type this law does not know yet: teach it",
            arg.get_id()
        );
    };
    if is_list(arg) {
        one.iter()
            .map(|value| json!([value, one[0]]))
            .chain([json!([one[0]])])
            .collect()
    } else {
        one
    }
}

/// Values the argument refuses.
fn bad(arg: &Arg) -> Vec<Value> {
    let one: Vec<Value> = if !arg.get_possible_values().is_empty()
        && !matches!(arg.get_action(), ArgAction::SetTrue)
    {
        vec!["nothing-of-the-kind".into(), "".into()]
    } else if let Some(range) = arg.get::<Range>() {
        vec![
            json!(range.min - 1),
            json!(range.max + 1),
            json!("many"),
            json!(1.5),
        ]
    } else if bounds(arg).is_some() {
        vec![json!("many"), json!(1.5), json!("99999999999999999999999")]
    } else if is_of(arg, clap::value_parser!(Span)) {
        vec!["soon".into(), "-5m".into(), json!(5), "".into()]
    } else if is_of(arg, clap::value_parser!(Moment)) {
        vec!["yesterday-ish".into(), "2026-13-01".into()]
    } else if is_of(arg, clap::value_parser!(When)) {
        vec!["whenever".into(), "2026-13-01".into()]
    } else if is_of(arg, clap::value_parser!(SocketAddr)) {
        vec!["here".into()]
    } else {
        Vec::new()
    };
    if is_list(arg) {
        one.into_iter().map(|value| json!([value])).collect()
    } else {
        one
    }
}

fn is_list(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
        || arg
            .get_num_args()
            .is_some_and(|range| range.max_values() > 1)
}

/// The smallest call, then each argument with each value, then as many at once as go together.
fn cases(leaf: &Leaf) -> Vec<Given> {
    let command = leaf.clap();
    let args: Vec<_> = schema::arguments(&command).collect();
    let name = |arg: &Arg| arg.get_id().as_str().to_owned();
    let least: Given = args
        .iter()
        .filter(|arg| arg.is_required_set())
        .map(|arg| (name(arg), good(arg)[0].clone()))
        .collect();
    let mut cases = vec![least.clone(), Given::new()];
    let mut together = least.clone();
    for arg in &args {
        for value in good(arg).into_iter().chain(bad(arg)) {
            let mut case = least.clone();
            case.insert(name(arg), value);
            cases.push(case);
        }
        let rivals = command.get_arg_conflicts_with(arg);
        if !rivals
            .iter()
            .any(|rival| together.contains_key(rival.get_id().as_str()))
        {
            together.insert(name(arg), good(arg)[0].clone());
        }
        for rival in rivals {
            let mut case = least.clone();
            case.insert(name(arg), good(arg)[0].clone());
            case.insert(name(rival), good(rival)[0].clone());
            cases.push(case);
        }
    }
    // As much as goes together, and that without each single one: what needs another is refused alone.
    for arg in &args {
        let mut case = together.clone();
        case.remove(arg.get_id().as_str());
        cases.push(case);
    }
    cases.push(together);
    // And each single one with as much as goes together with it: what needs another is taken then.
    let rivals = |one: &Arg, other: &Arg| {
        let all = command.get_arg_conflicts_with(one);
        all.iter().any(|arg| arg.get_id() == other.get_id())
    };
    for first in &args {
        let mut kept = vec![first];
        for arg in &args {
            if !kept
                .iter()
                .any(|one| one.get_id() == arg.get_id() || rivals(one, arg) || rivals(arg, one))
            {
                kept.push(arg);
            }
        }
        let mut case = least.clone();
        case.extend(
            kept.into_iter()
                .map(|arg| (name(arg), good(arg)[0].clone())),
        );
        cases.push(case);
    }
    // Words have no way to leave out a positional before another.
    let positionals: Vec<_> = args
        .iter()
        .filter(|arg| arg.is_positional())
        .map(|arg| name(arg))
        .collect();
    cases.retain(|case| {
        let given = positionals.iter().map(|name| case.contains_key(name));
        given.is_sorted_by(|before, after| before >= after)
    });
    cases
}

#[test]
fn words_and_json_say_the_same() {
    let tree = medtainer::tree();
    for (path, leaf) in tree.leaves() {
        let mut taken = BTreeSet::new();
        for given in cases(leaf) {
            let what = format!("{}: {}", path.join(" "), Value::Object(given.clone()));
            if leaves_a_gap(leaf, &given) {
                let error = by_json(leaf, &given).expect_err(&what);
                assert_eq!(error.kind(), Kind::Usage, "{what}");
                continue;
            }
            match (by_words(&path, spoken(leaf, &given)), by_json(leaf, &given)) {
                (Ok(words), Ok(json)) => {
                    assert_eq!(words, json, "{what}");
                    taken.extend(given.into_iter().map(|(name, _)| name));
                }
                (Err(words), Err(json)) => {
                    // Each names the argument as its caller does: `--limit`, `limit`.
                    assert_eq!(words.kind(), json.kind(), "{what}");
                    assert_eq!(json.kind(), Kind::Usage, "{what}");
                }
                (words, json) => panic!("{what}: words {words:?}, JSON {json:?}"),
            }
        }
        let command = leaf.clap();
        let all: BTreeSet<_> = schema::arguments(&command)
            .map(|arg| arg.get_id().to_string())
            .collect();
        assert_eq!(
            taken,
            all,
            "{}: some argument was never taken",
            path.join(" ")
        );
    }
}

#[test]
fn a_wrong_value_is_refused_and_a_missing_one_too() {
    let tree = medtainer::tree();
    for (path, leaf) in tree.leaves() {
        let command = leaf.clap();
        let least = cases(leaf).remove(0);
        for arg in schema::arguments(&command) {
            let id = arg.get_id().as_str();
            for value in bad(arg) {
                let mut given = least.clone();
                given.insert(id.to_owned(), value);
                let error = by_json(leaf, &given).expect_err(&format!("{path:?} {given:?}"));
                assert_eq!(error.kind(), Kind::Usage);
            }
            // Neither a list nor an object is one value.
            let mut given = least.clone();
            given.insert(id.to_owned(), json!({ "a": 1 }));
            assert_eq!(
                by_json(leaf, &given).unwrap_err().kind(),
                Kind::Usage,
                "{path:?} {id}"
            );
            if arg.is_required_set() {
                let mut given = least.clone();
                given.remove(id);
                let error = by_json(leaf, &given).expect_err(&format!("{path:?} without {id}"));
                assert!(error.message().contains("required"), "{error}");
            }
        }
    }
}

#[test]
fn an_unknown_name_is_refused_and_the_near_one_named() {
    let tree = medtainer::tree();
    let (path, leaf) = tree.tool("ghl_contacts").unwrap();
    let json = by_json(leaf, &Given::from_iter([("limt".to_owned(), json!(3))])).unwrap_err();
    let words = by_words(&path, vec!["--limt".into(), "3".into()]).unwrap_err();
    for error in [json, words] {
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.hint_text().unwrap().contains("limit`"), "{error:?}");
    }
    for (path, leaf) in tree.leaves() {
        let error = by_json(
            leaf,
            &Given::from_iter([("surely-not".to_owned(), json!(1))]),
        )
        .unwrap_err();
        assert!(
            error.message().contains("surely-not") && error.hint_text().is_some(),
            "{path:?}: {error:?}"
        );
        let error = by_words(&path, vec!["--surely-not".into()]).unwrap_err();
        assert!(
            error.message().contains("surely-not"),
            "{path:?}: {error:?}"
        );
    }
}

#[test]
fn the_options_of_answers_are_the_same_over_json() {
    let by_json = |given: Value| {
        let Value::Object(given) = given else {
            panic!()
        };
        let command = AnswerOptions::augment_args(clap::Command::new("options"));
        let matches = schema::parse(command, &given)?;
        Ok(format!(
            "{:?}",
            AnswerOptions::from_arg_matches(&matches).unwrap()
        ))
    };
    let by_words = |words: &[&str]| {
        let all = ["medtainer", "ghl", "contacts"].iter().chain(words);
        let matches = cli::command(&medtainer::PRODUCT)
            .try_get_matches_from(all)
            .map_err(|e| schema::from_clap(&e))?;
        let (_, _, mut matches) = medtainer::tree()
            .resolve(matches)
            .map(|(path, _, matches)| (path.len(), (), matches))
            .unwrap();
        Ok(format!(
            "{:?}",
            Options::from_arg_matches_mut(&mut matches).unwrap().answer
        ))
    };
    let show =
        |result: Result<String, Error>| result.unwrap_or_else(|error| error.kind().to_string());
    for (given, words) in [
        (json!({}), &[][..]),
        (json!({ "fresh": true }), &["--fresh"]),
        (
            json!({ "max_age": "5m", "fields": "id,name" }),
            &["--max-age", "5m", "--fields", "id,name"],
        ),
        (json!({ "offline": true, "fresh": false }), &["--offline"]),
        (
            json!({ "fresh": true, "offline": true }),
            &["--fresh", "--offline"],
        ),
        (
            json!({ "fresh": true, "max_age": "1h" }),
            &["--fresh", "--max-age", "1h"],
        ),
        (json!({ "max_age": "old" }), &["--max-age", "old"]),
    ] {
        assert_eq!(show(by_json(given)), show(by_words(words)), "{words:?}");
    }
}

#[test]
fn ranges_are_what_the_parser_enforces() {
    let tree = medtainer::tree();
    let mut ranges = 0;
    for (path, leaf) in tree.leaves() {
        let command = leaf.clap();
        let schema = schema::input(&command);
        for arg in schema::arguments(&command) {
            let Some(range) = arg.get::<Range>() else {
                continue;
            };
            ranges += 1;
            let id = arg.get_id().as_str();
            let property = &schema["properties"][id];
            assert_eq!(
                (&property["minimum"], &property["maximum"]),
                (&json!(range.min), &json!(range.max))
            );
            let with = |case: &Given, number: i64| {
                let mut given = case.clone();
                given.insert(id.to_owned(), number.into());
                by_words(&path, spoken(leaf, &given))
            };
            // Some arguments need another.
            let call = cases(leaf)
                .into_iter()
                .find(|case| with(case, range.min).is_ok())
                .unwrap_or_else(|| panic!("{path:?} never takes --{id} {}", range.min));
            let take = |number| with(&call, number);
            for number in [range.min, range.max] {
                take(number).unwrap_or_else(|error| panic!("{path:?} --{id} {number}: {error}"));
            }
            for number in [range.min - 1, range.max + 1] {
                let error = take(number).expect_err(&format!("{path:?} --{id} {number}"));
                assert!(error.message().contains(&number.to_string()), "{error}");
            }
        }
    }
    assert!(ranges >= 4, "only {ranges} ranges were found");
}
