//! One progress bar, and what is told beside it.

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
