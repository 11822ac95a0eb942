//! `cargo xtask test-neon`: the NEON kernels on a machine that has none, under emulation. Apart from `cargo xtask test`, which
//! tests them wherever it runs on 64-bit ARM.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::prerequisites::{self, ARM_LIBRARIES};
use crate::test::Step;
use crate::workspace::{ARM, cargo, run};

pub const STEPS: [Step; 4] = [
    Step {
        name: "prerequisites",
        promise: "compiler and emulator for 64-bit ARM are here",
        check: bring_prerequisites,
    },
    Step { name: "clippy", promise: "no warnings in the kernels of 64-bit ARM", check: lint },
    Step { name: "kernels", promise: "each kernel computes what it should with NEON", check: kernels },
    Step { name: "training", promise: "whole networks do, and leave the recorded bits behind", check: training },
];

fn bring_prerequisites(root: &Path) -> Result<()> {
    if cfg!(target_arch = "aarch64") {
        bail!("nothing is to be emulated: this processor has NEON, and `cargo xtask test` tests it");
    }
    prerequisites::components(root)?;
    prerequisites::arm(root)
}

fn lint(root: &Path) -> Result<()> {
    let kernels = ["clippy", "--release", "--all-targets", "-p", "kernels", "--target", ARM];
    run(cargo(root).args(kernels).args(["--", "-D", "warnings"]))
}

fn kernels(root: &Path) -> Result<()> {
    run(emulated(root).args(["-p", "kernels"]))
}

fn training(root: &Path) -> Result<()> {
    run(emulated(root).args(["-p", "train", "--test", "golden", "--test", "reference"]))
}

/// `cargo test` for 64-bit ARM: linked by its C compiler, run by the emulator.
fn emulated(root: &Path) -> Command {
    let mut command = cargo(root);
    command
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("qemu-aarch64 -L {ARM_LIBRARIES}"))
        .args(["test", "--release", "--target", ARM]);
    command
}
