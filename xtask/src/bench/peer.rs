//! The other side: bench/peer.py, in a Python that has torch.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::ours::{Time, Timed};
use super::steps::{Case, Work};
use crate::workspace::read;

/// A Python with torch.
pub struct Peer {
    python: PathBuf,
    script: PathBuf,
    /// Of torch.
    pub version: String,
}

/// Variables by which a session may have slowed a library down, or tuned it: the peer runs as it is delivered.
const TUNING: [&str; 9] = ["ATEN_", "DNNL_", "GOMP_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "TORCH"];

impl Peer {
    /// # Errors
    /// How torch is brought, in sentences for a person.
    pub fn find(python: &Path, script: &Path) -> Result<Peer, String> {
        let found = read(Command::new(python).args(["-c", "import torch; print(torch.__version__)"]));
        match found {
            Ok(version) => Ok(Peer { python: python.into(), script: script.into(), version: version.trim().into() }),
            Err(_) => Err(format!(
                "{} has no torch, so nothing is compared with PyTorch. To compare:\n    \
                 python3 -m venv bench-venv && bench-venv/bin/pip install torch==2.15.0 numpy\n    \
                 cargo xtask bench --python bench-venv/bin/python\n",
                python.display()
            )),
        }
    }

    /// A call of the script in an environment that neither helps nor hinders it.
    pub fn command(&self, threads: u32, avx2: bool) -> Command {
        let mut command = Command::new(&self.python);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_tuning) {
                command.env_remove(name);
            }
        }
        command.env("OMP_NUM_THREADS", threads.to_string());
        if avx2 {
            let limits = [
                ("ATEN_CPU_CAPABILITY", "avx2"),
                ("DNNL_MAX_CPU_ISA", "AVX2"),
                ("ONEDNN_MAX_CPU_ISA", "AVX2"),
                ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
            ];
            command.envs(limits);
        }
        command.arg(&self.script);
        command
    }

    /// Starts a process that measures when it is told to.
    pub fn serve(&self, work: Work, case: &Case) -> Result<Served> {
        let mut command = self.command(case.threads, case.avx2);
        command.args([work.name(), "--serve"]).args(case.arguments());
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.context("cannot start bench/peer.py")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("the peer's output was asked for")?);
        let mut served = Served { child, input, output };
        let about: About = served.line()?;
        let expected = case.architecture.parameters(3, 10);
        ensure!(about.parameters == expected, "the peer's network has {} parameters, not {expected}", about.parameters);
        ensure!(!case.avx2 || about.instruction_set == "AVX2", "the peer uses {}, not AVX2", about.instruction_set);
        Ok(served)
    }

    /// Peak resident size of training steps, and what of it Python and torch hold before there is a network; in bytes.
    pub fn memory(&self, case: &Case) -> Result<Memory> {
        let mut command = self.command(case.threads, case.avx2);
        command.arg("memory").args(case.arguments());
        serde_json::from_str(&read(&mut command)?).context("`peer.py memory` should print sizes as JSON")
    }
}

fn is_tuning(variable: &str) -> bool {
    TUNING.iter().any(|prefix| variable.starts_with(prefix))
}

#[derive(Debug, Deserialize)]
pub struct Memory {
    pub before_bytes: f64,
    pub peak_bytes: f64,
}

#[derive(Deserialize)]
struct About {
    instruction_set: String,
    parameters: u64,
}

/// A peer that waits for its turn.
pub struct Served {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Served {
    /// One round, as [`super::ours::Ours::time`].
    pub fn time(&mut self) -> Result<Time> {
        let input = self.input.as_mut().context("the peer's input is open until it is dropped")?;
        writeln!(input).context("the peer has ended")?;
        Ok(self.line::<Timed>()?.milliseconds)
    }

    fn line<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("cannot read what the peer says")?;
        ensure!(!line.is_empty(), "the peer ended before it had measured; what it said stands above");
        serde_json::from_str(&line).with_context(|| format!("the peer said {line:?}, which is not expected"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The end of its input is its end.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_without_torch_is_told_how_to_get_it() {
        let Err(told) = Peer::find(Path::new("/no/such/python"), Path::new("peer.py")) else {
            panic!("there is no such Python");
        };
        assert!(told.contains("pip install torch"), "{told}");
    }

    #[test]
    fn the_peer_is_neither_slowed_down_nor_tuned_by_variables() {
        for variable in ["OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS", "TORCHINDUCTOR_FREEZING"] {
            assert!(is_tuning(variable), "{variable}");
        }
        for variable in ["PATH", "HOME", "LD_LIBRARY_PATH"] {
            assert!(!is_tuning(variable), "{variable}");
        }
    }
}
