//! The house rules that a machine can check: files, names, help, what is generated and checked in.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use medtainer::house::man;
use medtainer_core::{cli, schema, tree};

use crate::front::{Home, snapshots};

/// Files of an ecosystem's folder that are no command.
const ROOMS: &[&str] = &[
    "mod",
    "api",
    "types",
    "collections",
    "store",
    "lessons",
    "lookup",
    "who",
    "names",
    "prompts",
    "resources",
    "zone",
    "privacy",
    "changes",
    "sandbox",
];

/// Folders and the groups of commands in them; the house's commands are in no group.
const FOLDERS: &[(&str, &str)] = &[
    ("ghl", "ghl"),
    ("godaddy", "godaddy"),
    ("digitalocean", "do"),
    ("cloudflare", "cf"),
    ("house", ""),
];

#[test]
fn every_file_is_a_command_or_a_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("commands");
    let tree = medtainer::tree();
    let leaves: Vec<Vec<&str>> = tree.leaves().into_iter().map(|(path, _)| path).collect();
    for (folder, group) in FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let registered = leaves.iter().any(|leaf| match *group {
                "" => leaf[0].replace('-', "_") == stem,
                _ => leaf[0] == *group && leaf[1].replace('-', "_") == stem,
            });
            let room = if group.is_empty() {
                ["mod", "prompts", "resources"].contains(&stem.as_str())
            } else {
                ROOMS.contains(&stem.as_str())
            };
            assert!(
                registered || room,
                "{} is neither a registered command nor a known room",
                path.display()
            );
        }
    }
    for leaf in &leaves {
        let Some((folder, _)) = FOLDERS.iter().find(|(_, group)| *group == leaf[0]) else {
            continue;
        };
        let file = root.join(folder).join(leaf[1].replace('-', "_"));
        assert!(
            file.with_extension("rs").exists() || file.join("mod.rs").exists(),
            "`{}` has no file of its own",
            leaf.join(" ")
        );
    }
}

#[test]
fn no_room_passes_six_hundred_lines() {
    let mut folders: Vec<PathBuf> = ["src", "commands"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
        .into();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&path).unwrap().lines().count();
                assert!(lines <= 600, "{} has {lines} lines", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 50);
}

/// The names in the system being replaced, as callers know them.
const CATALOG: &[(&str, &str)] = &[
    ("ghl contacts", "gohighlevel.read_contacts"),
    ("ghl search", "gohighlevel.search_by_nickname"),
    ("ghl pipeline", "gohighlevel.pipeline_digest"),
    ("ghl history", "gohighlevel.get_contact_interactions"),
    ("ghl insights", "gohighlevel.get_insights"),
    ("ghl analyze", "gohighlevel.analyze_contact"),
    ("ghl recommend", "gohighlevel.get_recommendations"),
    ("ghl context", "gohighlevel.add_contact_context"),
    ("ghl sync", "gohighlevel.sync_all_contacts"),
    ("ghl sync-stats", "gohighlevel.get_sync_stats"),
    ("ghl task", "gohighlevel.create_task"),
    ("ghl email", "gohighlevel.send_email"),
    ("ghl move", "gohighlevel.update_pipeline_stage"),
    ("godaddy domains", "godaddy.domain_catalog"),
    ("godaddy domain", "godaddy.domain_details"),
    ("godaddy dns", "godaddy.dns_records"),
    ("godaddy mx", "godaddy.mx_records"),
    ("godaddy subdomains", "godaddy.subdomains"),
    ("godaddy contacts", "godaddy.domain_contacts"),
    ("godaddy available", "godaddy.domain_availability"),
    ("godaddy plan", "godaddy.dns_plan"),
    ("do droplets", "digitalocean.list_droplets"),
    ("do droplet", "digitalocean.get_droplet"),
    ("do create", "digitalocean.create_droplet"),
    ("do delete", "digitalocean.delete_droplet"),
    ("do reboot", "digitalocean.reboot_droplet"),
    ("cf preview", "cloudflare.dns_preview"),
    ("cf audit", "cloudflare.dns_audit"),
];

#[test]
fn names_of_tools_are_unique_and_catalog_names_are_kept() {
    let tree = medtainer::tree();
    let mut names = BTreeSet::new();
    let mut catalog = Vec::new();
    for (path, leaf) in tree.leaves() {
        let name = tree::tool_name(&path);
        assert!((1..=48).contains(&name.len()), "{name}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'),
            "{name}"
        );
        assert!(names.insert(name.clone()), "{name} is there twice");
        if let Some(known) = leaf.catalog {
            catalog.push((path.join(" "), known));
            for alias in [known.to_owned(), known.replace('.', "_")] {
                assert_eq!(tree.tool(&alias).unwrap().0, path, "{alias}");
                // Some tools have kept their name.
                let kept = alias == name;
                assert!(
                    kept || names.insert(alias.clone()),
                    "{alias} is there twice"
                );
            }
        }
    }
    let listed: Vec<_> = catalog
        .iter()
        .map(|(path, name)| (path.as_str(), *name))
        .collect();
    assert_eq!(listed, CATALOG);
}

#[test]
fn exit_codes_are_published_and_frozen() {
    let help = Home::shared().run("--help").ends(0).out;
    let table: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .collect();
    assert_eq!(
        table,
        [
            "Exit codes:",
            "   0  done",
            "   1  internal error: please report it",
            "   2  wrong command line or arguments",
            "   3  credentials missing or refused",
            "   4  not found",
            "   5  ambiguous or conflicting",
            "   6  the provider refused",
            "   7  provider unreachable, rate-limited or breaker open",
            "   8  waiting for approval",
            "   9  outcome unknown",
            "  10  stale or partial where --strict asked for neither",
        ]
    );
}

/// Every command below, groups included, with the words that name it.
fn all_commands(command: &clap::Command, words: &str) -> Vec<(String, clap::Command)> {
    let mut all = vec![(words.to_owned(), command.clone())];
    for below in command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
    {
        all.extend(all_commands(
            below,
            format!("{words} {}", below.get_name()).trim(),
        ));
    }
    all
}

#[test]
fn help_is_written_in_one_style() {
    let tree = medtainer::tree();
    let is_leaf = |words: &str| {
        tree.leaves()
            .iter()
            .any(|(path, _)| path.join(" ") == words)
    };
    for (words, command) in all_commands(&cli::command(&medtainer::PRODUCT), "") {
        let about = command
            .get_about()
            .unwrap_or_else(|| panic!("`{words}` has no help"))
            .to_string();
        let first = about.split_whitespace().next().unwrap();
        assert!(about.chars().count() <= 80, "`{words}`: {about}");
        assert!(
            !about.ends_with(['.', ' ']) && !about.contains('\n'),
            "`{words}`: {about}"
        );
        assert!(first.starts_with(char::is_uppercase), "`{words}`: {about}");
        // `Show`, not `Shows` or `Showing`.
        assert!(
            !is_leaf(&words)
                || !(first.ends_with('s') || first.len() > 5 && first.ends_with("ing")),
            "`{words}`: {about}"
        );
        for arg in schema::arguments(&command) {
            let help = arg
                .get_help()
                .unwrap_or_else(|| panic!("`{words}`: {} has no help", arg.get_id()))
                .to_string();
            assert!(
                help.chars().count() <= 90 && !help.ends_with('.'),
                "`{words}`: {help}"
            );
            assert!(help.starts_with(char::is_uppercase), "`{words}`: {help}");
            assert!(
                !help.contains("default"),
                "clap says the default itself: `{words}`: {help}"
            );
        }
    }
}

#[test]
fn the_help_of_every_command() {
    let desk = Home::shared().bare().with("COLUMNS", "100");
    let mut all = String::new();
    let mut common: Option<String> = None;
    for (words, command) in all_commands(&cli::command(&medtainer::PRODUCT), "") {
        let help = desk.run(&format!("{words} --help")).ends(0).out;
        let short = desk.run(&format!("{words} -h")).ends(0).out;
        assert!(
            short.lines().next() == help.lines().next(),
            "{words}: {short}"
        );
        // The options every command takes are shown once.
        let (own, shared) = help
            .split_once("\nAnswer:\n")
            .unwrap_or_else(|| panic!("{words}: {help}"));
        if command.has_subcommands() && words.is_empty() {
            all.push_str(&help);
        } else {
            let shared = common.get_or_insert_with(|| shared.to_owned()) == shared;
            assert!(shared, "`{words}` takes other common options: {help}");
            all.push_str(&format!("\n===== medtainer {words} =====\n{own}"));
        }
    }
    snapshots().bind(|| insta::assert_snapshot!("help", all));
}

fn checked_in(folder: &str, files: &[(String, String)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    if std::env::var_os("MEDTAINER_BLESS").is_some() {
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let there: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        there,
        files.iter().map(|(name, _)| name.clone()).collect(),
        "run this test with MEDTAINER_BLESS=1"
    );
    for (name, text) in files {
        let kept = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(
            &kept == text,
            "{}/{name} is out of date: run this test with MEDTAINER_BLESS=1",
            folder.display()
        );
    }
}

#[test]
fn completions_are_checked_in() {
    let names = [
        ("bash", "medtainer.bash"),
        ("zsh", "_medtainer"),
        ("fish", "medtainer.fish"),
        ("powershell", "medtainer.ps1"),
    ];
    let files = names.map(|(shell, file)| {
        (
            file.to_owned(),
            Home::shared()
                .run(&format!("completions {shell}"))
                .ends(0)
                .out,
        )
    });
    checked_in("completions", &files);
}

#[test]
fn manual_pages_are_checked_in() {
    let pages = man::pages(cli::command(&medtainer::PRODUCT)).unwrap();
    checked_in("man", &pages);
    let printed = Home::shared().run("man").ends(0).out;
    assert_eq!(printed, pages[0].1);
    assert_eq!(
        pages.len(),
        all_commands(&cli::command(&medtainer::PRODUCT), "").len()
    );
}
