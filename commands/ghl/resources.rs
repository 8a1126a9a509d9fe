//! What of GoHighLevel can be read by an address.

use medtainer_core::resource::Resource;

/// How fresh everything is, and a contact with what passed.
pub const RESOURCES: &[Resource] = &[
    Resource::answer("ghl/sync", "How fresh the CRM's data is", "ghl sync-stats"),
    Resource::answer("ghl/contacts/{who}", "A contact", "ghl contact"),
    Resource::answer(
        "ghl/contacts/{who}/history",
        "What passed with a contact",
        "ghl history",
    ),
];
