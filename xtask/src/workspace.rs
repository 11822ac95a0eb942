//! Where things are, and how other programs are called.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The packages that run natively, in one selection. Cargo settles features over the packages selected
/// together, so every native step uses exactly this selection and shares one set of compiled dependencies.
pub const NATIVE: [&str; 18] = [
    "-p",
    "study",
    "-p",
    "kernels",
    "-p",
    "mapped",
    "-p",
    "train",
    "-p",
    "store",
    "-p",
    "migrated",
    "-p",
    "app",
    "-p",
    "server",
    "--features",
    "app/ssr",
];

/// The wasm target of the browser bundle.
pub const WASM: &str = "wasm32-unknown-unknown";

/// The target whose kernels are tested under emulation.
pub const ARM: &str = "aarch64-unknown-linux-gnu";

/// `app` as it runs in the browser.
pub const BROWSER: [&str; 10] =
    ["--profile", "browser", "-p", "app", "--lib", "--no-default-features", "--features", "hydrate", "--target", WASM];

/// The folder of the workspace, with `Cargo.toml` and `target/` in it.
pub fn root() -> Result<PathBuf> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&here).parent().context("xtask lies in a folder of the workspace")?;
    if !root.join("Cargo.lock").is_file() {
        bail!("{} is not the workspace: run `cargo xtask` inside it", root.display());
    }
    Ok(root.to_owned())
}

/// A call of cargo in the workspace. Everything is built into `<workspace>/target`, wherever the environment
/// would have it, because the server embeds `target/site` and the commands promise `target/release/stillroom`.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).env("CARGO_TARGET_DIR", root.join("target"));
    command
}

/// The command as a person would type it.
fn spoken(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a command with its output passed through; anything but success is an error that names the command.
pub fn run(command: &mut Command) -> Result<()> {
    let spoken = spoken(command);
    println!("    $ {spoken}");
    let status = command.status().with_context(|| format!("cannot start `{spoken}`"))?;
    if !status.success() {
        bail!("`{spoken}` ended with {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to stdout; its stderr is passed through only if it fails.
pub fn read(command: &mut Command) -> Result<String> {
    let spoken = spoken(command);
    let output = command.output().with_context(|| format!("cannot start `{spoken}`"))?;
    if !output.status.success() {
        bail!("`{spoken}` ended with {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{spoken}` wrote something that is not text"))
}

/// Says what comes next, and how long the command has been at work.
pub fn say(since: Instant, what: &str) {
    println!("[{:6.1} s] {what}", since.elapsed().as_secs_f64());
}

pub mod scratch {
    //! A folder of a test's or a measurement's own. The tempfile crate would do it too, and change the features of so much that
    //! wasm-bindgen were compiled twice, once for the command and once for its tests.

    use std::path::{Path, PathBuf};
    use std::{env, fs, process};

    pub struct Scratch(PathBuf);

    impl Scratch {
        /// `name` says whose it is; two processes do not meet.
        pub fn new(name: &str) -> std::io::Result<Scratch> {
            let folder = env::temp_dir().join(format!("stillroom-xtask-{}-{name}", process::id()));
            fs::create_dir(&folder)?;
            Ok(Scratch(folder))
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
