//! A client that reads resources, gets prompts and completes their arguments.

use std::process::Command;

use medtainer::PRODUCT;
use serde_json::json;

use super::{report, stdio, with};
use crate::mcp::house::House;
use crate::registry;

#[tokio::test]
async fn python_2_reads() {
    let Some(python) = registry::python("mcp==2.3.0") else {
        return;
    };
    let house = House::new().await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python_reads.py");
    let run = |words: &[&str]| with(with(Command::new(&python), &[script]), words);
    for command in [run(&["http", &house.url]), run(&["stdio", &stdio(&house)])] {
        let said = report(command).await;
        let (things, kinds): (Vec<_>, Vec<_>) = PRODUCT
            .all_resources()
            .partition(|resource| resource.is_concrete());
        let uris = |all: Vec<&'static medtainer_core::resource::Resource>| -> Vec<String> {
            all.iter()
                .map(|resource| resource.uri(PRODUCT.name))
                .collect()
        };
        assert_eq!(said["listed"], json!(uris(things)));
        assert_eq!(said["templates"], json!(uris(kinds)));
        let prompts: Vec<_> = PRODUCT.all_prompts().map(|prompt| prompt.name).collect();
        assert_eq!(said["prompts"], json!(prompts));
        let domain = said["domain"].as_str().unwrap();
        assert!(
            said["domains"].as_array().unwrap().contains(&domain.into()),
            "{said}"
        );
        assert_eq!(said["media"], "text/dns");
        assert!(said["zone"].as_str().unwrap().contains(domain), "{said}");
        assert!(said["prompt"].as_str().unwrap().contains(domain), "{said}");
        assert_eq!(said["missing"], -32602);
    }
}
