//! The browser bundle is embedded from `target/site`, which `cargo xtask build` fills. Without it the server
//! compiles all the same, with nothing to serve under `/pkg`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/site");
    std::fs::create_dir_all(&site)?;
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", site.display());
    println!("cargo::rerun-if-changed=../examples");
    Ok(())
}
