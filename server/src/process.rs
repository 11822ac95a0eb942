//! The process and its surroundings: the time of day, and the wish that it end.

use std::{
    env,
    os::unix::process::CommandExt,
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// The environment variable that says for how many milliseconds the allocator keeps what was freed.
const ALLOCATOR_DELAY: &str = "MIMALLOC_PURGE_DELAY";
/// Says that this program set it, and nobody else.
const OF_OURS: &str = "STILLROOM_SET_PURGE_DELAY";

/// Takes this program's own place with an allocator that gives back at once what was freed. Otherwise it does so after a while, and only
/// as more is asked for: a server at rest would keep what its largest page took. It reads its environment before anything else happens.
pub fn give_back_at_once() {
    if env::var_os(ALLOCATOR_DELAY).is_some() {
        return;
    }
    if let Ok(program) = env::current_exe() {
        // Where it returns it failed, and this process goes on as it is.
        let _ = Command::new(program).args(env::args_os().skip(1)).env(ALLOCATOR_DELAY, "0").env(OF_OURS, "1").exec();
    }
}

/// Lets a process that is to be started keep what it frees for its next step, unless a person said otherwise.
pub fn keep_what_was_freed(command: &mut Command) {
    if env::var_os(OF_OURS).is_some() {
        command.env_remove(ALLOCATOR_DELAY).env_remove(OF_OURS);
    }
}

/// Seconds since 1970-01-01 UTC.
pub fn now() -> i64 {
    // A clock before 1970 is wrong, and no worse than 1970.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Turns true when the process is asked to end: Ctrl-C or SIGTERM.
pub fn ends() -> std::io::Result<tokio::sync::watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (sender, receiver) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        // Nobody listening any more means that the process is ending already.
        let _ = sender.send(true);
    });
    Ok(receiver)
}
