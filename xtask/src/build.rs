//! `cargo xtask build` and `cargo xtask serve`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::workspace::{BROWSER, cargo, run, say};
use crate::{Build, Serve, bundle, prerequisites};

/// Builds the browser bundle into `target/site` and then the server, which embeds it.
pub fn build(root: &Path, started: Instant, what: &Build) -> Result<()> {
    browser_bundle(root, started)?;
    server(root, started, what)?;
    say(started, &format!("built {}", binary(root).display()));
    Ok(())
}

/// The pages' code for the browser, its glue, the style sheet and static files, each also compressed.
pub fn browser_bundle(root: &Path, started: Instant) -> Result<()> {
    prerequisites::wasm_target(root)?;
    say(started, "compiling the pages for the browser");
    run(cargo(root).arg("build").args(BROWSER))?;
    say(started, "assembling the browser bundle in target/site");
    let changed = bundle::assemble(root)?;
    say(started, &format!("the browser bundle is ready ({changed} of its files are new)"));
    Ok(())
}

/// The one binary, optimised, with the bundle inside.
pub fn server(root: &Path, started: Instant, what: &Build) -> Result<()> {
    say(started, "compiling the server");
    let mut command = cargo(root);
    command.args(["build", "--release", "-p", "server", "--bin", "stillroom"]);
    if what.cuda {
        command.args(["--features", "cuda"]);
    }
    run(&mut command)
}

pub fn binary(root: &Path) -> PathBuf {
    root.join("target/release/stillroom")
}

/// Builds, then becomes the server: signals reach it directly. Returns only where it cannot start.
pub fn serve(root: &Path, started: Instant, serve: &Serve) -> Result<Infallible> {
    build(root, started, &serve.build)?;
    say(started, "starting the server");
    let binary = binary(root);
    let error = Command::new(&binary).args(serve_arguments(serve)).exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}

/// The arguments of `stillroom`; what was not given is left to its own defaults and the environment.
pub fn serve_arguments(serve: &Serve) -> Vec<OsString> {
    let mut arguments = vec![OsString::from("serve")];
    if let Some(port) = serve.port {
        arguments.extend(["--port".into(), port.to_string().into()]);
    }
    if let Some(folder) = &serve.data_dir {
        arguments.extend(["--data-dir".into(), folder.into()]);
    }
    if let Some(address) = &serve.bind {
        arguments.extend(["--bind".into(), address.into()]);
    }
    arguments.extend(serve.more.iter().map(OsString::from));
    arguments
}
