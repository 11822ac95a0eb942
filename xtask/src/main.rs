//! Stillroom's own commands: `cargo xtask build`, `serve`, `test`, `test-neon`, `bench` and `prepare`.

mod bench;
mod build;
mod bundle;
mod invariants;
mod neon;
mod prerequisites;
mod query_data;
mod rust_source;
mod test;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, serves and tests Stillroom")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the browser bundle and the server: target/release/stillroom, one binary with everything inside
    Build(Build),
    /// Build, then start the server
    Serve(Serve),
    /// Run every check and every test; the first one that fails ends it
    Test {
        /// Run this step alone
        #[arg(long, value_name = "STEP", value_parser = test::step_names(&test::STEPS))]
        only: Option<String>,
    },
    /// Check and test the kernels of 64-bit ARM under emulation; the first step that fails ends it
    TestNeon {
        /// Run this step alone
        #[arg(long, value_name = "STEP", value_parser = test::step_names(&neon::STEPS))]
        only: Option<String>,
    },
    /// Build, then measure this program beside the same work in PyTorch, and its pages in a browser
    Bench(bench::Arguments),
    /// Rewrite .sqlx/, the offline query data, from the migrations and the queries
    Prepare,
}

/// What the binary is to be able to do.
#[derive(clap::Args)]
struct Build {
    /// Train on NVIDIA GPUs too: needs the CUDA toolkit (see docs/gpu.md)
    #[arg(long)]
    cuda: bool,
}

/// What `cargo xtask serve` hands to `stillroom serve`, where the defaults are.
#[derive(clap::Args)]
struct Serve {
    #[command(flatten)]
    build: Build,
    /// The port to listen on
    #[arg(long)]
    port: Option<u16>,
    /// The folder of the database and of the trainings
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// More arguments for `stillroom serve`
    #[arg(last = true)]
    more: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let done = workspace::root().and_then(|root| match arguments.command {
        Command::Build(what) => build::build(&root, started, &what).map(|()| ExitCode::SUCCESS),
        Command::Serve(serve) => build::serve(&root, started, &serve).map(|never| match never {}),
        Command::Test { only } => Ok(test::take(&root, &test::STEPS, only.as_deref())),
        Command::TestNeon { only } => Ok(test::take(&root, &neon::STEPS, only.as_deref())),
        Command::Bench(arguments) => bench::bench(&root, started, &arguments).map(|()| ExitCode::SUCCESS),
        Command::Prepare => query_data::prepare(&root).map(|()| ExitCode::SUCCESS),
    });
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_hands_on_what_follows_the_dashes() {
        let Ok(Arguments { command: Command::Serve(serve) }) = Arguments::try_parse_from([
            "cargo xtask",
            "serve",
            "--port",
            "0",
            "--bind",
            "0.0.0.0",
            "--",
            "--public-url",
            "https://a.example",
        ]) else {
            panic!("`serve` should parse");
        };
        assert_eq!(
            build::serve_arguments(&serve),
            ["serve", "--port", "0", "--bind", "0.0.0.0", "--public-url", "https://a.example"]
        );
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_known_ones() {
        let Err(error) = Arguments::try_parse_from(["cargo xtask", "test", "--only", "everything"]) else {
            panic!("there is no step `everything`");
        };
        assert!(error.to_string().contains("invariants"), "{error}");
    }
}
