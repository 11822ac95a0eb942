//! Workers as processes of this machine.

use crate::process::keep_what_was_freed;
use std::{
    fs::OpenOptions,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What a worker says on its standard error, beside its events.
pub const WORDS: &str = "worker.log";

/// The environment variable that says how many threads candle's operators use in a process.
pub const CANDLE_THREADS: &str = "RAYON_NUM_THREADS";

/// The process of a worker.
#[derive(Debug)]
pub enum Process {
    /// Started here.
    Child(Child),
    /// Started by a server that is gone; the lock on its folder says that it lives.
    Adopted,
}

/// Starts `PROGRAM worker FOLDER`. It is the first of a process group of its own: a Ctrl-C meant for the server does not reach
/// it, and it outlives the server.
pub fn start(program: &Path, folder: &Path, threads: u32) -> io::Result<Process> {
    let words = OpenOptions::new().create(true).append(true).open(folder.join(WORDS))?;
    let mut worker = Command::new(program);
    // What a list of processes shows.
    worker.arg0("stillroom").arg("worker").arg(folder).current_dir(folder).process_group(0);
    keep_what_was_freed(&mut worker);
    // The hand-written engine is told by the job; candle's operators know no other way.
    worker.env(CANDLE_THREADS, threads.to_string());
    worker.stdin(Stdio::null()).stdout(Stdio::null()).stderr(words);
    worker.spawn().map(Process::Child)
}

/// The program that this process is, to be started again as a worker. Where the system has a name for just this program, the
/// workers are of it too after a newer one was built in its place.
pub fn program() -> io::Result<PathBuf> {
    let this = PathBuf::from("/proc/self/exe");
    if this.exists() { Ok(this) } else { std::env::current_exe() }
}

impl Process {
    pub fn is_alive(&mut self, folder: &Path) -> bool {
        match self {
            // The lock is not asked while a child lives: asking takes it for an instant, in which the child could be refused it.
            Process::Child(child) => matches!(child.try_wait(), Ok(None)),
            Process::Adopted => train::worker::is_working(folder),
        }
    }
}

/// The last line a worker left on its standard error, for a sentence about how it ended; empty where it left none.
pub fn last_words(folder: &Path) -> String {
    let words = std::fs::read(folder.join(WORDS)).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().chars().take(300).collect()
}
