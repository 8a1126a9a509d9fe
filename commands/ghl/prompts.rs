//! What of GoHighLevel can be started with one choice, and what it adds to prompts of the house.

use medtainer_core::prompt::{Argument, Given, Prompt, Step};

/// A talk with somebody.
pub const PROMPTS: &[Prompt] = &[Prompt {
    name: "prepare-a-call",
    title: "Prepare a call",
    about: "Who somebody is, where you stand, and what to say",
    arguments: &[Argument {
        name: "who",
        about: "Who: a name, e-mail address, phone number or id",
        usual: None,
    }],
    opening: "I am about to call {who}. Prepare me. Call these tools:",
    steps: &[
        Step::call(
            "ghl contact",
            &[("who", Given::Argument("who"))],
            "who it is, the number to call, and whether they asked not to be disturbed; where it may be any of several, stop and ask me",
        ),
        Step::call(
            "ghl analyze",
            &[("who", Given::Argument("who"))],
            "the deals, the open tasks, and what is missing",
        ),
        Step::call(
            "ghl history",
            &[
                ("who", Given::Argument("who")),
                ("limit", Given::Number(30)),
            ],
            "what was said last and by whom; questions nobody answered, and promises nobody kept",
        ),
    ],
    closing: "\
Write what fits on a phone: who it is in one line; where we stand in three; what is open, with dates; what I \
should bring about, and one question to begin with. Quote what they wrote, do not improve it. Write nothing to \
them and change nothing.",
}];

/// The morning's people.
pub const STEPS: &[(&str, Step)] = &[
    (
        "morning-brief",
        Step::call(
            "ghl recommend",
            &[("limit", Given::Number(5))],
            "what to do next, in this order, each with its evidence",
        ),
    ),
    (
        "morning-brief",
        Step::call(
            "ghl contacts",
            &[
                ("since", Given::Text("1d")),
                ("sort", Given::Text("added")),
                ("fields", Given::Text("id,name,company,source,created_at")),
            ],
            "who is new since yesterday, and from where",
        ),
    ),
    (
        "morning-brief",
        Step::call("ghl pipeline", &[], "deals that are stuck, and their value"),
    ),
];
