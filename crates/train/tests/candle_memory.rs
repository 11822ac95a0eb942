//! What candle takes for networks that the hand-written engine has no operators for is what was estimated. Alone in its process, so that
//! nobody else's memory is counted.

use candle_core::{DType, Device};
use std::{fs, process::Command};
use study::{Architecture, Optimizer, Seed};
use train::candle_network::CandleNetwork;
use train::engine::{Engine, NetworkShape, OutputGradient};
use train::initial::initial_weights;

/// Bytes of this process's memory by the kernel's name for them; `None` where the system does not say.
fn bytes(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| 1024 * kilobytes)
}

/// The most that `work` takes beyond what there was before.
fn most(work: impl FnOnce()) -> Option<u64> {
    let before = bytes("VmRSS:")?;
    // From here on the most that there was is counted anew.
    fs::write("/proc/self/clear_refs", "5").ok()?;
    work();
    Some(bytes("VmHWM:")?.saturating_sub(before))
}

/// In a process that gives back at once what it frees, or what one network leaves would be there for the next; of two threads, as each has
/// some memory of its own.
#[test]
fn the_bytes_that_are_estimated_are_enough_and_not_far_too_many() {
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    child.args(["--ignored", "--exact", "measures", "--nocapture"]).env("RAYON_NUM_THREADS", "2");
    let measured = child.envs([("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")]).output();
    let measured = measured.expect("it runs");
    let said = String::from_utf8_lossy(&measured.stderr);
    assert!(measured.status.success(), "{said}");
    said.lines().filter(|line| line.starts_with("skipped: ")).for_each(|line| eprintln!("{line}"));
}

#[test]
#[ignore = "run by another test in a process of its own"]
fn measures() {
    let optimizer = Optimizer::Sgd { momentum: 0.9, weight_decay: 0.0 };
    let mut told = Vec::new();
    let mut tell = |what: String, taken: Option<u64>, estimated: u64| {
        let Some(taken) = taken else { return };
        let ratio = taken as f64 / estimated as f64;
        told.push((ratio, format!("{what}: {taken} bytes, estimated {estimated}, ratio {ratio:.2}")));
    };
    for (name, batches) in [("resnet18", &[2_u32, 12][..]), ("resnet50", &[6][..])] {
        let architecture: Architecture = name.parse().expect("a network");
        let shape = |image_size| NetworkShape { architecture, channels: 3, image_size, classes: 10 };
        let weights = initial_weights(&shape(32), Seed(0));
        let open = |image_size| {
            let mut network = CandleNetwork::new(&shape(image_size), &Device::Cpu, DType::F32).expect("an engine");
            network.set_weights(&weights).expect("its own weights");
            network
        };
        for batch in batches {
            let images = vec![0.5; *batch as usize * 3 * 64 * 64];
            let taken = most(|| {
                let mut network = open(64);
                for _ in 0..2 {
                    let gradient = network.forward(&images).expect("logits").zeros_like().expect("zeros");
                    network.backward(&OutputGradient::of_logits(gradient)).expect("gradients");
                    network.step(0.1, &optimizer).expect("a step");
                }
            });
            let estimated = architecture.training_bytes(3, 64, 10, *batch, 1);
            tell(format!("{name} in training on {batch}"), taken, estimated);
        }
        let images = vec![0.5; 500 * 3 * 32 * 32];
        let taken = most(|| {
            open(32).evaluate(&images).expect("logits");
        });
        tell(format!("{name} in evaluation"), taken, architecture.evaluation_bytes(3, 32, 10, 1));
    }
    if told.is_empty() {
        // Such as in a container that may not count anew.
        eprintln!("skipped: this system does not say how much memory a process took");
        return;
    }
    assert_eq!(told.len(), 5, "{told:#?}");
    // Never more than was estimated, and not far less.
    let wrong = |(ratio, _): &&(f64, String)| !(0.6..=1.0).contains(ratio);
    assert_eq!(told.iter().filter(wrong).count(), 0, "{told:#?}");
}
