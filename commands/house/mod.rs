//! The house itself: everything that is not about one ecosystem.

pub mod approvals;
pub mod audit;
pub mod auth;
pub mod completions;
pub mod config;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod job;
pub mod man;
pub mod mcp;
pub mod prompts;
pub mod quota;
pub mod resources;
pub mod sandbox;
pub mod sync;
pub mod undo;

use medtainer_core::tree::Group;

/// Adds the commands of the house to the tree.
pub fn register(tree: Group) -> Group {
    tree.group(auth::group())
        .group(mcp::group())
        .group(db::group())
        .group(sandbox::group())
        .group(config::group())
        .group(sync::group())
        .group(audit::group())
        .group(approvals::group())
        .group(job::group())
        .action::<undo::Undo>("undo")
        .command::<quota::Quota>("quota")
        .seldom()
        .chore::<demo::Demo>("demo")
        .chore::<doctor::Doctor>("doctor")
        .chore::<completions::Completions>("completions")
        .chore::<man::Man>("man")
}
