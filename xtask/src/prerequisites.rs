//! What the commands need from the machine, and how it is brought where it may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace::{ARM, WASM, cargo, read, run};

/// Adds the wasm target to the toolchain where it is missing.
pub fn wasm_target(root: &Path) -> Result<()> {
    target(root, WASM)
}

fn target(root: &Path, target: &str) -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libraries = read(Command::new(rustc).current_dir(root).args(["--print", "target-libdir", "--target", target]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    if !answers("rustup", "--version") {
        bail!(
            "the Rust target {target} is missing and rustup, which could add it, was not found: \
             install rustup from https://rustup.rs, or the target by your system's packages"
        );
    }
    run(Command::new("rustup").current_dir(root).args(["target", "add", target]))
}

/// Adds rustfmt and clippy to the toolchain where they are missing.
pub fn components(root: &Path) -> Result<()> {
    for (component, command) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let known = cargo(root).args([command, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if known.is_ok_and(|status| status.success()) {
            continue;
        }
        if !answers("rustup", "--version") {
            bail!("`cargo {command}` is missing and rustup, which could add {component}, was not found");
        }
        run(Command::new("rustup").current_dir(root).args(["component", "add", component]))?;
    }
    Ok(())
}

/// The names under which Chromium is installed, best first.
const CHROMIUMS: [&str; 7] = [
    "/usr/bin/chromium",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// The Chromium that the browser tests drive: the one `STILLROOM_CHROMIUM` names, else an installed one, else one
/// from the system's packages where this user may install them.
pub fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("STILLROOM_CHROMIUM").filter(|named| !named.is_empty()) {
        return found(&named.to_string_lossy()).with_context(|| {
            format!("STILLROOM_CHROMIUM is {}, which does not run as a browser", named.to_string_lossy())
        });
    }
    if let Some(chromium) = CHROMIUMS.iter().find_map(|name| found(name)) {
        return Ok(chromium);
    }
    install(
        &["chromium", "fonts-dejavu-core"],
        "the browser tests need Chromium, which was not found: install it or set STILLROOM_CHROMIUM to its path",
    )?;
    CHROMIUMS.iter().find_map(|name| found(name)).context("Chromium was installed, and still does not run")
}

/// Where `qemu-aarch64` finds the libraries of 64-bit ARM.
pub const ARM_LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// What builds programs for 64-bit ARM and runs them here: the Rust target, a C compiler that links, and an emulator.
pub fn arm(root: &Path) -> Result<()> {
    target(root, ARM)?;
    let missing = missing_for_arm();
    if missing.is_empty() {
        return Ok(());
    }
    install(
        &missing,
        "programs for 64-bit ARM need a linker, a C library and an emulator, not all of which were found",
    )?;
    match missing_for_arm().as_slice() {
        [] => Ok(()),
        missing => bail!("{} was installed, and what it brings was still not found", missing.join(" ")),
    }
}

/// The Debian packages whose content is not here.
fn missing_for_arm() -> Vec<&'static str> {
    let here = [
        ("gcc-aarch64-linux-gnu", answers("aarch64-linux-gnu-gcc", "--version")),
        ("libc6-dev-arm64-cross", Path::new(ARM_LIBRARIES).join("lib/crt1.o").is_file()),
        ("qemu-user", answers("qemu-aarch64", "--version")),
    ];
    here.into_iter().filter(|(_, here)| !here).map(|(package, _)| package).collect()
}

/// Installs packages of the system where this user may; else the error says what is `wanted`, and how Debian has it.
fn install(packages: &[&str], wanted: &str) -> Result<()> {
    if !answers("apt-get", "--version") || !is_root() {
        bail!("{wanted} (on Debian: `sudo apt-get install --no-install-recommends {}`)", packages.join(" "));
    }
    let apt =
        |arguments: &[&str]| run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments));
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// The full path of a browser that answers; some systems have a `chromium-browser` that only asks for another one.
fn found(name: &str) -> Option<PathBuf> {
    let path = on_path(name)?;
    answers(path.to_str()?, "--version").then_some(path)
}

fn on_path(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Path::new(name).is_file().then(|| PathBuf::from(name));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn answers(program: &str, question: &str) -> bool {
    let asked =
        Command::new(program).arg(question).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// Installs the packages of the browser tests, as the lock file has them. Nothing is done where they stand
/// beside the hash of this very lock file.
pub fn node_packages(root: &Path) -> Result<()> {
    let folder = root.join("end2end");
    let lock = folder.join("package-lock.json");
    let hash = blake3::hash(&fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?).to_hex();
    let stamp = folder.join("node_modules/.installed.blake3");
    if fs::read_to_string(&stamp).is_ok_and(|old| old == hash.as_str()) {
        return Ok(());
    }
    if !answers("npm", "--version") {
        bail!("the browser tests need Node.js 20 or newer with npm, which was not found: see https://nodejs.org");
    }
    // The browser comes from the system; Playwright's own download is not wanted.
    run(Command::new("npm").current_dir(&folder).env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").args([
        "ci",
        "--no-audit",
        "--no-fund",
    ]))?;
    fs::write(&stamp, hash.as_str()).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_on_the_path_and_an_absent_one_is_not() {
        assert!(on_path("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(on_path("no-such-browser-anywhere"), None);
        assert_eq!(on_path("/no/such/browser"), None);
    }

    #[test]
    fn a_browser_that_ends_with_an_error_is_not_one() {
        assert_eq!(found("false"), None);
    }
}
