//! The tree of commands, and the tables they need.

pub mod cloudflare;
pub mod digitalocean;
pub mod ghl;
pub mod godaddy;
pub mod house;

use medtainer_core::app::Product;
use medtainer_core::tree::Group;

/// What the database must look like, oldest first.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// medtainer.
pub static PRODUCT: Product = Product {
    name: "medtainer",
    version: env!("CARGO_PKG_VERSION"),
    about: "Run the operations of a small business from one command line",
    tree,
    migrator: &MIGRATOR,
    ecosystems: &[
        &ghl::GHL,
        &godaddy::GODADDY,
        &digitalocean::DO,
        &cloudflare::CLOUDFLARE,
    ],
    resources: house::resources::RESOURCES,
    prompts: house::prompts::PROMPTS,
};

/// Every command there is.
pub fn tree() -> Group {
    house::register(
        Group::new(
            "medtainer",
            "Run the operations of a small business from one command line",
        )
        .group(ghl::group())
        .group(godaddy::group())
        .group(digitalocean::group())
        .group(cloudflare::group()),
    )
}
