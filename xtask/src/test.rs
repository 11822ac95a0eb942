//! `cargo xtask test`: named steps in order; the first one that fails ends it. [`take`] takes those of `test-neon` too.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::builder::PossibleValuesParser;

use crate::workspace::{BROWSER, NATIVE, cargo, run};
use crate::{Build, build, invariants, prerequisites, query_data};

/// One thing that must be true of the workspace. Its promise is said when it starts.
pub struct Step {
    pub name: &'static str,
    pub promise: &'static str,
    pub check: fn(&Path) -> Result<()>,
}

/// The bundle comes before everything that compiles `server`, which embeds it: so nothing is compiled twice.
pub const STEPS: [Step; 9] = [
    Step { name: "prerequisites", promise: "the tools of the tests are here", check: bring_prerequisites },
    Step { name: "format", promise: "every Rust file is formatted", check: format },
    Step { name: "bundle", promise: "the pages build for the browser", check: browser_bundle },
    Step { name: "clippy", promise: "no warnings, natively and for the browser", check: lint },
    Step { name: "invariants", promise: "what must be absent is absent", check: invariants::check },
    Step { name: "query-data", promise: ".sqlx/ agrees with the migrations", check: query_data::check },
    Step { name: "tests", promise: "unit and integration tests pass", check: unit_and_integration_tests },
    Step { name: "build", promise: "the server builds as one binary", check: release_build },
    Step { name: "browser", promise: "the real server works in a real browser", check: browser_tests },
];

/// Accepts the names of the steps.
pub fn step_names(steps: &'static [Step]) -> PossibleValuesParser {
    PossibleValuesParser::new(steps.iter().map(|step| step.name))
}

/// Takes every step, or the one named `only`.
pub fn take(root: &Path, steps: &[Step], only: Option<&str>) -> ExitCode {
    let chosen: Vec<&Step> = steps.iter().filter(|step| only.is_none_or(|name| name == step.name)).collect();
    let mut results = Vec::new();
    for step in &chosen {
        println!("\n==> {}: {}", step.name, step.promise);
        let started = Instant::now();
        let done = (step.check)(root);
        let took = started.elapsed();
        if let Err(error) = &done {
            println!("{error:#}");
        }
        println!(
            "<== {}: {} after {:.1} s",
            step.name,
            if done.is_ok() { "passed" } else { "FAILED" },
            took.as_secs_f64()
        );
        results.push((step.name, took, done.is_ok()));
        if done.is_err() {
            break;
        }
    }
    let names: Vec<&str> = chosen.iter().map(|step| step.name).collect();
    print!("\n{}", summary(&names, &results, steps.len()));
    if results.iter().all(|(_, _, passed)| *passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A table of the steps with their seconds, and one last line that says how it ended: the failed step's name, or
/// what passed. `results` stops at the first failure; `of` is how many steps there are in all.
fn summary(chosen: &[&str], results: &[(&str, Duration, bool)], of: usize) -> String {
    let mut lines = Vec::new();
    for (index, name) in chosen.iter().enumerate() {
        lines.push(match results.get(index) {
            Some((_, took, passed)) => {
                format!("{name:<15}{:>8.1} s  {}", took.as_secs_f64(), if *passed { "passed" } else { "FAILED" })
            }
            None => format!("{name:<15}{:>10}  not run", "-"),
        });
    }
    let seconds: f64 = results.iter().map(|(_, took, _)| took.as_secs_f64()).sum();
    lines.push(match results.iter().find(|(_, _, passed)| !passed) {
        Some((name, _, _)) => format!("failed: {name}"),
        None if results.len() == of => format!("passed: all {of} steps in {seconds:.0} s"),
        None => format!("passed: {} alone, {} of {of} steps in {seconds:.0} s", chosen.join(", "), results.len()),
    });
    lines.join("\n") + "\n"
}

fn bring_prerequisites(root: &Path) -> Result<()> {
    prerequisites::components(root)?;
    prerequisites::wasm_target(root)?;
    println!("    Chromium is {}", prerequisites::chromium()?.display());
    prerequisites::node_packages(root)
}

fn format(root: &Path) -> Result<()> {
    run(cargo(root).args(["fmt", "--all", "--check"]))
}

fn browser_bundle(root: &Path) -> Result<()> {
    build::browser_bundle(root, Instant::now())
}

/// Clippy on everything native. The query data step makes the same call, so that it reuses what this one made.
pub fn clippy(root: &Path) -> Command {
    let mut command = cargo(root);
    command.args(["clippy", "--release", "--all-targets"]).args(NATIVE).args(["--", "-D", "warnings"]);
    command
}

fn lint(root: &Path) -> Result<()> {
    run(&mut clippy(root))?;
    // Apart from the rest, because `cargo xtask` itself is compiled apart from the rest.
    run(cargo(root).args(["clippy", "--profile", "tools", "--all-targets", "-p", "xtask", "--", "-D", "warnings"]))?;
    run(cargo(root).arg("clippy").args(BROWSER).args(["--", "-D", "warnings"]))
}

fn unit_and_integration_tests(root: &Path) -> Result<()> {
    run(cargo(root).args(["test", "--profile", "tools", "-p", "xtask"]))?;
    run(cargo(root).args(["test", "--release"]).args(NATIVE))
}

fn release_build(root: &Path) -> Result<()> {
    build::server(root, Instant::now(), &Build { cuda: false })
}

fn browser_tests(root: &Path) -> Result<()> {
    let chromium = prerequisites::chromium()?;
    prerequisites::node_packages(root)?;
    run(Command::new("npx")
        .current_dir(root.join("end2end"))
        .env("STILLROOM_BINARY", build::binary(root))
        .env("STILLROOM_CHROMIUM", chromium)
        .args(["--no-install", "playwright", "test"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_line_names_the_step_that_failed_and_the_table_what_did_not_run() {
        let text = summary(&["format", "clippy", "tests"], &[("format", SECOND, true), ("clippy", SECOND, false)], 3);
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [
                "format              1.0 s  passed",
                "clippy              1.0 s  FAILED",
                "tests                   -  not run",
                "failed: clippy"
            ]
        );
    }

    #[test]
    fn only_a_run_of_every_step_says_that_all_passed() {
        let all = summary(&["format", "clippy"], &[("format", SECOND, true), ("clippy", SECOND, true)], 2);
        assert_eq!(all.lines().last(), Some("passed: all 2 steps in 2 s"));
        let one = summary(&["clippy"], &[("clippy", SECOND, true)], 2);
        assert_eq!(one.lines().last(), Some("passed: clippy alone, 1 of 2 steps in 1 s"));
    }
}
