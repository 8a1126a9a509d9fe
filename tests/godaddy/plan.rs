//! The analysis of zones, with the sandbox's own DNS and without any.

use super::*;

fn desk(name: &str) -> Desk {
    Home::shared().bare().with("MEDTAINER_BUSINESS", name)
}

fn rules(answer: &Value) -> Vec<&str> {
    each(answer, "rule")
}

#[tokio::test]
async fn faults_are_found_with_what_mends_them() {
    let desk = desk("gdplan");
    let plan = json_of(&desk, "--sandbox godaddy plan harborpine.com").await;
    assert_eq!(plan["metadata"]["complete"], true, "{plan}");
    assert_eq!(
        rules(&plan),
        [
            "cname-takeover",
            "spf-too-many-lookups",
            "dmarc-missing",
            "caa-missing",
            "dnssec-off"
        ]
    );
    let data = &plan["data"];
    assert_eq!((&data["errors"], &data["warnings"]), (&json!(2), &json!(1)));
    assert_eq!(data["mail"]["provider"], "Google Workspace");
    assert_eq!(data["mail"]["spf"]["lookups"], 13);
    assert_eq!(
        data["items"][0]["mend"],
        json!(["- shop CNAME harborpine-shop.azurewebsites.net"])
    );
    assert_eq!(data["items"][2]["fix"][0]["after"]["name"], "_dmarc");
    for (domain, some) in [
        (
            "pinejoinery.com",
            vec!["mx-target-missing", "spf-multiple", "dmarc-policy-none"],
        ),
        (
            "walnutandoak.com",
            vec![
                "cname-takeover",
                "mx-target-alias",
                "spf-include-missing",
                "cname-dangling",
            ],
        ),
        ("harborpine.net", vec!["www-missing"]),
        (
            "lakehousetables.com",
            vec!["spf-allows-all", "dmarc-reports-refused"],
        ),
        ("harborpine.shop", vec!["ns-elsewhere"]),
        ("harborandpine.com", vec!["address-invalid"]),
    ] {
        let plan = json_of(&desk, &format!("--sandbox godaddy plan {domain}")).await;
        for rule in some {
            assert!(
                rules(&plan).contains(&rule),
                "{domain}: {rule} is not in {:?}",
                rules(&plan)
            );
        }
    }
    let good = json_of(&desk, "--sandbox godaddy plan workshop-classes.com").await;
    assert_eq!(
        (&good["data"]["errors"], &good["data"]["warnings"]),
        (&json!(0), &json!(0)),
        "{good}"
    );
    error_of(&desk, "--sandbox godaddy plan harborpine.store", 4).await;
    let table = run(&desk, "--sandbox godaddy plan harborpine.com")
        .await
        .ends(0)
        .out;
    assert!(table.contains("+ _dmarc TXT"), "{table}");
}

#[tokio::test]
async fn offline_the_zone_alone_is_checked() {
    let sandbox = Sandbox::start(unlimited()).await;
    let desk = sandbox.desk();
    json_of(&desk, "godaddy dns pinejoinery.com").await;
    let plan = json_of(&desk, "godaddy plan pinejoinery.com --offline").await;
    assert_eq!(plan["metadata"]["complete"], false);
    assert!(rules(&plan).contains(&"spf-multiple"), "{plan}");
    assert!(
        !plan["data"]["unchecked"].as_array().unwrap().is_empty(),
        "{plan}"
    );
    let warning = plan["metadata"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("not checked, because"), "{warning}");
}
