//! What processes hold of the machine's memory, by what the kernel says of them.

use std::fs;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::steps::{Case, Work};
use super::table::{Bound, Row};
use super::{Bench, Group, Measured};

/// Peak resident size of training steps (`VmHWM`).
pub fn memory(bench: &Bench<'_>) -> Result<Measured> {
    let case = Case::new(28, 2, 128, 1);
    bench.say(&format!("peak resident size of {}", case.name()));
    let megabytes = |bytes: f64| bytes / 1e6;
    let ours = megabytes(peak_bytes(bench, &case)?);
    let peer = bench.peer.as_ref().map(|peer| peer.memory(&case)).transpose()?;
    let row = |what: &str, peer: Option<f64>| Row {
        ours: Some(ours),
        peer: peer.map(megabytes),
        ..Row::new(Group::Memory, format!("{what}, {}", case.name()), "MB")
    };
    let beyond = peer.as_ref().map(|peer| peer.peak_bytes - peer.before_bytes);
    let bound = Bound::Ratio { floor: 1.0, reach: 1.0 };
    let rows = vec![
        Row { bound, ..row("peak memory", peer.map(|peer| peer.peak_bytes)) },
        row("beyond Python and torch", beyond),
    ];
    Ok(Measured { rows, notes: Vec::new() })
}

/// Of a process that makes training steps for a second or longer: what it holds at most it has held in its first steps.
fn peak_bytes(bench: &Bench<'_>, case: &Case) -> Result<f64> {
    let mut child =
        bench.ours.command(Work::Step, case).stdout(Stdio::null()).spawn().context("cannot start stillroom")?;
    let process = child.id();
    let mut peak = None;
    let ended = watch(&mut child, || {
        peak = bytes(process, "VmHWM").or(peak);
        Ok(())
    })?;
    ensure!(ended.success(), "`stillroom bench step` ended with {ended}");
    peak.context("this system does not tell the peak resident size of a process")
}

/// Looks again and again until the process ends.
pub fn watch(child: &mut Child, mut look: impl FnMut() -> Result<()>) -> Result<ExitStatus> {
    loop {
        if let Some(ended) = child.try_wait()? {
            return Ok(ended);
        }
        look()?;
        thread::sleep(Duration::from_millis(5));
    }
}

/// A size in a process's status, such as `RssAnon`: memory of its own that no file stands behind. `None` where the process is
/// gone, or the system does not tell.
pub fn bytes(process: u32, name: &str) -> Option<f64> {
    in_status(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, name)
}

fn in_status(status: &str, name: &str) -> Option<f64> {
    let size = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: f64 = size.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_kernel_writes_them() {
        let status = "Name:\tstillroom\nVmHWM:\t  123456 kB\nVmRSS:\t  100000 kB\nRssAnon:\t    2048 kB\n";
        assert_eq!(in_status(status, "VmHWM"), Some(123_456.0 * 1024.0));
        assert_eq!(in_status(status, "RssAnon"), Some(2_097_152.0));
        assert_eq!((in_status(status, "Rss"), in_status(status, "Name")), (None, None));
    }
}
