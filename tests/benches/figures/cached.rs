//! A cached read against `psql`, `--version` against an empty clap program.

use std::process::Command;

use crate::scene::{self, MEDTAINER, Scene};
use crate::{Bound, figure, median};

const LIST: &str = "select id, name, company, email, phone, tags, source, assigned_to, created_at, updated_at, \
    changed_at, last_synced from contacts where deleted_at is null and ecosystem = 'gohighlevel' \
    order by changed_at desc, id desc limit 11";

pub fn run(runs: usize) {
    println!("\ncached reads, {runs} runs in turns");
    let scene = Scene::with_contacts(1_206);
    scene.run(&["ghl", "sync"]);

    let psql = scene.cluster().psql().expect("a psql");
    let psql = psql.get_program().to_owned();
    let url = scene.cluster().url();
    let words = ["ghl", "contacts", "--limit", "10", "--max-age", "10h"];
    let (mut ours, mut theirs, mut ours_json) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        ours.push(scene::time(&mut scene.medtainer(&words)));
        theirs.push(scene::time(
            Command::new(&psql).arg(&url).args(["-c", LIST]),
        ));
        let json = [words.as_slice(), &["--json"]].concat();
        ours_json.push(scene::time(&mut scene.medtainer(&json)));
    }
    let (ours, theirs, ours_json) = (median(ours), median(theirs), median(ours_json));
    println!(
        "        ghl contacts --limit 10: {ours:.2} ms (as JSON {ours_json:.2} ms), psql -c: {theirs:.2} ms"
    );
    figure(
        "a cached list, times psql",
        ours / theirs,
        "",
        Bound::AtMost(1.0),
    );
    figure(
        "its memory",
        memory(&scene, &words),
        " MB",
        Bound::AtMost(30.0),
    );

    let empty = empty();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..runs * 2 {
        ours.push(scene::time(Command::new(MEDTAINER).arg("--version")));
        theirs.push(scene::time(Command::new(&empty).arg("--version")));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!("        --version: {ours:.2} ms, of an empty clap program: {theirs:.2} ms");
    figure(
        "--version, times an empty clap program",
        ours / theirs,
        "",
        Bound::AtMost(2.0),
    );
}

/// The peak of a process that is too short to be looked at: what the kernel tells its parent, a small one.
fn memory(scene: &Scene, words: &[&str]) -> f64 {
    let inner = scene.medtainer(words);
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M", MEDTAINER]).args(words);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let out = command.output().expect("/usr/bin/time");
    let said = String::from_utf8_lossy(&out.stderr);
    let kb: f64 = said
        .lines()
        .last()
        .and_then(|line| line.parse().ok())
        .expect("kilobytes");
    kb / 1024.0
}

/// Built here, since `cargo bench` builds no examples.
fn empty() -> std::path::PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--example", "empty"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(built.success(), "the empty program was not built");
    let folder = std::path::Path::new(MEDTAINER).parent().expect("a folder");
    folder.join("examples/empty")
}
