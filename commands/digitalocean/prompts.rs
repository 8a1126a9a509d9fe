//! What DigitalOcean adds to prompts of the house.

use medtainer_core::prompt::{Given, Step};

/// What runs and what it costs, whose an address is, and what a droplet carries.
pub const STEPS: &[(&str, Step)] = &[
    (
        "morning-brief",
        Step::call(
            "do droplets",
            &[("limit", Given::Number(100))],
            "what is not `active`, and what all of them cost a month",
        ),
    ),
    (
        "domain-check-up",
        Step::call(
            "do droplets",
            &[("limit", Given::Number(100))],
            "which droplet has each address that the domain's names point at; an address of none of them may be somebody else's by now",
        ),
    ),
    (
        "before-i-delete",
        Step::call(
            "do droplet",
            &[("droplet", Given::Argument("what"))],
            "what it is, what it costs, what happened to it last, and which names point at it",
        )
        .when("kind", "droplet"),
    ),
    (
        "before-i-delete",
        Step::call(
            "do delete",
            &[
                ("droplet", Given::Argument("what")),
                ("dry_run", Given::Yes),
            ],
            "what would be lost, and what would stay behind and go on costing; never without `dry_run`",
        )
        .when("kind", "droplet"),
    ),
];
