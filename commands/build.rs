//! How the binary is linked.

fn main() {
    println!("cargo::rerun-if-changed=commands/build.rs");
    // A program that may be loaded anywhere has fifty thousand addresses corrected each time it starts,
    // which takes longer than everything else `medtainer --version` does. Libraries, heap and stack are
    // placed at random all the same.
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
