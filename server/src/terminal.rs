//! One progress bar, what is told beside it, and what a command has to say.

use crate::error::CommandError;
use indicatif::{ProgressBar, ProgressStyle};
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

/// A progress bar's look.
pub fn style(template: &'static str) -> ProgressStyle {
    // The template is a constant; a wrong one would only look plain.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Without a terminal, a line each tenth of the way says that something is alive.
#[derive(Debug, Default)]
pub struct Tenths(Option<u64>);

impl Tenths {
    /// Whether another tenth of `total` was reached since it was asked last; at first it was.
    pub fn passed(&mut self, done: u64, total: u64) -> bool {
        let tenth = Some(done * 10 / total.max(1));
        std::mem::replace(&mut self.0, tenth) != tenth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_is_told_once() {
        let mut tenths = Tenths::default();
        let told = [0, 1, 9, 10, 19, 35, 39, 100].map(|done| tenths.passed(done, 100));
        assert_eq!(told, [true, false, false, true, false, true, false, true]);
        // Of less there may be fewer, as where an attempt begins anew.
        assert!(tenths.passed(0, 100) && !tenths.passed(0, 0));
    }
}
