//! What of the house can be started with one choice; ecosystems add their steps to it.

use medtainer_core::prompt::{Argument, Given, Prompt, Step};

/// The morning, a domain, a deletion, and what was done.
pub const PROMPTS: &[Prompt] = &[MORNING, DOMAIN, DELETE, DONE];

const MORNING: Prompt = Prompt {
    name: "morning-brief",
    title: "Morning brief",
    about: "What is wrong, what needs you today, and what is new",
    arguments: &[],
    opening: "Give me my morning brief. Call these tools, several at once where you can:",
    steps: &[
        Step::call(
            "sync status",
            &[("limit", Given::Number(10))],
            "what failed or is overdue; everything it feeds is then older than it looks",
        ),
        Step::call(
            "approvals list",
            &[],
            "what waits for my decision: its id, what it would do, when it lapses; the decision is not yours",
        ),
    ],
    closing: "\
Write at most fifteen lines: first what is wrong, then what I should do today, the most valuable first, then \
what is merely new. One line each, with the figure or the id that proves it. Leave out what is as it should be. \
Change nothing.",
};

const DOMAIN: Prompt = Prompt {
    name: "domain-check-up",
    title: "Domain check-up",
    about: "Whether a domain is in order: registration, DNS, mail",
    arguments: &[Argument {
        name: "domain",
        about: "The domain, such as example.com",
        usual: None,
    }],
    opening: "Check whether my domain {domain} is in order. Call these tools:",
    steps: &[],
    closing: "\
Say first what is broken now, then what is at risk and when, then what would be tidier; each with its evidence \
and the one record or setting that mends it. Where two providers keep records, say which of them the world sees, \
and judge only those. List what could not be looked up: it was not checked. Change nothing; I will say which of \
the changes I want.",
};

const DELETE: Prompt = Prompt {
    name: "before-i-delete",
    title: "Before I delete this",
    about: "What hangs on a thing, what would be lost, and whether to delete it",
    arguments: &[
        Argument {
            name: "kind",
            about: "What kind of thing: droplet or dns-record",
            usual: None,
        },
        Argument {
            name: "what",
            about: "The droplet, or the domain whose record it is",
            usual: None,
        },
    ],
    opening: "I think of deleting a {kind}: {what}. Find out what hangs on it. Call these tools:",
    steps: &[],
    closing: "\
Tell me in this order: what exactly it is (name and id), what stops working without it, what cannot be had back, \
what it saves, and what to keep first. End with yes or no, and why. Delete nothing now. If I tell you to \
afterwards, do the dry run again, and stop where it says anything else than before.",
};

const DONE: Prompt = Prompt {
    name: "what-was-done",
    title: "What was done",
    about: "What was changed, by whom, how it ended, and what can be taken back",
    arguments: &[Argument {
        name: "since",
        about: "From when on: a date, or how long ago, such as 7d",
        usual: Some("7d"),
    }],
    opening: "Show me what was changed in my business since {since}, by people and by machines. Call these tools:",
    steps: &[
        Step::call(
            "audit list",
            &[
                ("since", Given::Argument("since")),
                ("limit", Given::Number(200)),
            ],
            "the writes, and who made each: its caller and principal; of the reads only how many there were, and by whom",
        ),
        Step::call(
            "audit list",
            &[
                ("since", Given::Argument("since")),
                ("state", Given::Text("unknown")),
            ],
            "writes of which nobody knows whether they happened; these come first",
        ),
        Step::call(
            "approvals list",
            &[("all", Given::Yes)],
            "what was approved or denied, and what still waits",
        ),
    ],
    closing: "\
List the writes, the newest first: when, who, what changed, how it ended, and the id. Mark what failed, what is \
unknown, and what is unlike the rest, such as a new caller or an odd hour. Say which can be undone; undo nothing.",
};
