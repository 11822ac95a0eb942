use clap::Parser;
use indicatif::ProgressBar;
use server::{
    command_line::{Command, CommandLine},
    commands, process,
    terminal::AboveBar,
};
use std::{io::IsTerminal, process::ExitCode, time::Duration};
use tracing_subscriber::EnvFilter;

/// Gives back what was freed, where the system's own keeps the most that a page or a data set ever took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what is still being read, such as an archive that was sent, may take once all else is done. It is read again or goes away.
const END_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let typed = CommandLine::parse();
    if matches!(typed.command, Command::Serve(_)) {
        process::give_back_at_once();
    }
    // Who runs one study watches its progress; who serves wants to know what workers do.
    let usual = if matches!(typed.command, Command::Run(_)) { "warn" } else { "warn,server=info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let bar = ProgressBar::hidden();
    let above = AboveBar(bar.clone());
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(move || above.clone()).init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("this process could not start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(commands::execute(typed.command, bar));
    runtime.shutdown_timeout(END_WITHIN);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}
