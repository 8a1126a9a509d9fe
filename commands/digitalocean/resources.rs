//! What of DigitalOcean can be read by an address.

use medtainer_core::resource::Resource;

/// The droplets, and one of them.
pub const RESOURCES: &[Resource] = &[
    Resource::answer("do/droplets", "Droplets", "do droplets"),
    Resource::answer("do/droplets/{droplet}", "A droplet", "do droplet"),
];
