//! What of the house can be read by an address.

use medtainer_core::resource::Resource;

/// What runs by itself, what waits for a person, what is left of the providers' limits.
pub const RESOURCES: &[Resource] = &[
    Resource::answer("sync/status", "What ran by itself", "sync status"),
    Resource::answer("approvals", "What waits for approval", "approvals list"),
    Resource::answer("quota", "Rate limits and breakers", "quota"),
];
