//! Where a bench ran, and whether others were at work there.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::peer::Peer;
use crate::workspace::read;

#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// Those that kernels here and there have instances for.
    pub instruction_sets: Vec<String>,
    pub memory_bytes: u64,
    pub kernel: String,
    /// `None`: nothing is compared.
    pub torch: Option<String>,
    /// What was measured.
    pub commit: String,
    pub date: String,
    /// Of the last minute before the bench began; `None` where the system does not tell.
    pub load_before: Option<f64>,
    /// Share of the processors' time that others took in the second before the first measurement.
    pub others_share: Option<f64>,
}

/// Flags of a processor that matter for single and half precision, in the order of their age.
const INSTRUCTION_SETS: [&str; 8] = ["avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve"];

/// Others that take more of the processors make times unsure.
const OTHERS_SHARE_MAX: f64 = 0.05;

impl Machine {
    /// `load_before`: from before the build, which is a load itself.
    pub fn find(root: &Path, load_before: Option<f64>, peer: Option<&Peer>) -> Machine {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let flags = field(&processors, "flags").or(field(&processors, "Features")).unwrap_or_default();
        let has = |set: &&str| flags.split_whitespace().any(|flag| flag == *set);
        let kibibytes = field(&memory, "MemTotal").and_then(|total| total.strip_suffix(" kB")?.parse::<u64>().ok());
        let said = |command: &mut Command| read(command).map_or("unknown".into(), |text| text.trim().to_owned());
        Machine {
            processor: field(&processors, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            instruction_sets: INSTRUCTION_SETS.iter().filter(|set| has(set)).map(|set| (*set).to_owned()).collect(),
            memory_bytes: 1024 * kibibytes.unwrap_or(0),
            kernel: said(Command::new("uname").args(["-s", "-r"])),
            torch: peer.map(|peer| peer.version.clone()),
            commit: said(Command::new("git").current_dir(root).args(["describe", "--always", "--dirty"])),
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d"])),
            load_before,
            others_share: others_share(),
        }
    }

    /// Where numbers are not to be trusted.
    pub fn warning(&self) -> Option<String> {
        let share = self.others_share.filter(|share| *share > OTHERS_SHARE_MAX)?;
        let suffers = match self.torch {
            Some(_) => {
                "PyTorch's threads suffer more from that than ours: measure again on a quiet machine before you believe a ratio."
            }
            None => "Measure again on a quiet machine before you believe a number.",
        };
        Some(format!("Warning: before it began, others took {:.0} % of the processors' time. {suffers}", 100.0 * share))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let torch = self.torch.as_ref().map_or("no PyTorch".to_owned(), |version| format!("PyTorch {version}"));
        let told = |value: Option<f64>, text: &dyn Fn(f64) -> String| value.map_or("unknown".to_owned(), text);
        write!(
            f,
            "{}, {} cores, {}; {:.1} GB; {}; {torch}; commit {}, {}; load before {}, others in the second before {}",
            self.processor,
            self.cores,
            self.instruction_sets.join(" "),
            self.memory_bytes as f64 / 1e9,
            self.kernel,
            self.commit,
            self.date,
            told(self.load_before, &|load| format!("{load:.2}")),
            told(self.others_share, &|share| format!("{:.0} %", 100.0 * share)),
        )
    }
}

/// Processes that wanted a processor in the last minute, on average.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Watches the processors for a second.
fn others_share() -> Option<f64> {
    let ticks = || processor_ticks(&fs::read_to_string("/proc/stat").ok()?);
    let before = ticks()?;
    thread::sleep(Duration::from_secs(1));
    busy_share(before, ticks()?)
}

/// Ticks in which all processors together did nothing, and all ticks, since the system began.
fn processor_ticks(stat: &str) -> Option<(u64, u64)> {
    let all: Vec<u64> = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().flat_map(str::parse).collect();
    // user, nice, system, idle, waiting for a disk, interrupts (two), stolen by other guests; then what user holds already.
    let ticks = all.get(..8)?;
    Some((ticks[3] + ticks[4], ticks.iter().sum()))
}

fn busy_share(before: (u64, u64), after: (u64, u64)) -> Option<f64> {
    let (idle, all) = (after.0.checked_sub(before.0)?, after.1.checked_sub(before.1)?);
    (all > 0).then(|| 1.0 - idle as f64 / all as f64)
}

/// The first line `name : value` of a file that the kernel makes up.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_kernel_writes_them() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx2\nMemTotal:       24684092 kB\n";
        assert_eq!(field(text, "model name"), Some("AMD EPYC"));
        assert_eq!(field(text, "MemTotal"), Some("24684092 kB"));
        assert_eq!(field(text, "Features"), None);
    }

    #[test]
    fn what_others_take_is_all_that_is_not_idle() {
        let before = processor_ticks("cpu  100 0 50 800 50 0 0 0 10 0\ncpu0 1\n").expect("ticks");
        assert_eq!(before, (850, 1_000));
        let after = processor_ticks("cpu  130 0 60 940 60 0 0 0 10 0\n").expect("ticks");
        assert_eq!(busy_share(before, after), Some(1.0 - 150.0 / 190.0));
        assert_eq!(busy_share(before, before), None);
    }

    #[test]
    fn a_busy_machine_is_warned_of() {
        let machine = |share| Machine {
            processor: "one".into(),
            cores: 2,
            instruction_sets: vec!["avx2".into()],
            memory_bytes: 8_000_000_000,
            kernel: "Linux 6".into(),
            torch: None,
            commit: "abc".into(),
            date: "2026-11-25".into(),
            load_before: Some(0.1),
            others_share: share,
        };
        assert_eq!(machine(Some(0.01)).warning(), None);
        assert!(machine(Some(0.4)).warning().is_some_and(|warning| warning.contains("40 %")));
        let told = machine(None).to_string();
        assert!(told.contains("one, 2 cores, avx2; 8.0 GB") && told.contains("no PyTorch"), "{told}");
    }
}
