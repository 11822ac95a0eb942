//! One progress bar, what is told beside it, and what a command has to say.

use crate::error::CommandError;
use indicatif::ProgressBar;
use std::io::{self, Write};

/// The standard error above a progress bar: the bar steps aside while a line is written, so that neither breaks the other.
#[derive(Clone, Debug)]
pub struct AboveBar(pub ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes what a command found to the standard output. Whoever reads it may stop when they have enough, as `head` does: that is
/// no failure.
///
/// # Errors
/// Where it cannot be written, as to a full disk.
pub fn tell(text: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::Io { doing: "write to", path: "the standard output".into(), source: error })
        }
        _ => Ok(()),
    }
}
