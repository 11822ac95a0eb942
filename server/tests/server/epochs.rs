//! What a plan promises is what happens: every epoch is trained once, within a study and across studies.

use crate::laboratory::{self, Bench, object, output};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use study::{Event, SegmentKey};

/// Two temperatures, a stop on the way, a teacher that is stopped twice, two seeds.
fn study(title: &str, temperatures: &str, stops: &str) -> String {
    laboratory::study(title, 4, stops).replace(
        "[recipe]",
        &format!(
            "temperature = {temperatures}\nteacher_stop_epoch = [2, 3]\n\
             [recipe]\nlearning_rate = 0.05\naugmentation_seed = \"shared\""
        ),
    )
}

/// Of each segment of a data folder, how often each epoch was trained: a line a time. Evaluating it again later tells it again, with
/// the seconds that its training took.
fn trained(data: &Path) -> BTreeMap<SegmentKey, BTreeMap<u32, usize>> {
    let segments = fs::read_dir(data.join("segments")).expect("segments").map(|entry| entry.expect("an entry").path());
    let epochs = |folder: PathBuf| {
        let mut times: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for event in train::folder::read_events(&folder, 0).expect("events").0 {
            if let Event::Epoch(metrics) = event {
                let seconds = times.entry(metrics.epoch.0).or_default();
                if !seconds.contains(&metrics.seconds.to_bits()) {
                    seconds.push(metrics.seconds.to_bits());
                }
            }
        }
        let key = folder.file_name().expect("a name").to_string_lossy().into_owned();
        (SegmentKey(key), times.into_iter().map(|(epoch, times)| (epoch, times.len())).collect())
    };
    segments.map(epochs).collect()
}

fn total(trained: &BTreeMap<SegmentKey, BTreeMap<u32, usize>>) -> usize {
    trained.values().flat_map(BTreeMap::values).sum()
}

#[test]
fn as_many_epochs_are_trained_as_the_plan_says_within_a_study_and_across_studies() {
    let bench = Bench::new();
    let run = |name: &str, text: &str, data: &str| {
        let file = bench.write(name, text);
        let command = |what| {
            let mut command = bench.command(what, data);
            command.arg(&file).arg("--json");
            command
        };
        let planned = output(&mut command("plan"));
        let run = output(command("run").args(["--threads", "2"]));
        assert!(run.status.success(), "{}", laboratory::text(&run.stderr));
        let (mut planned, run) = (object(&planned.stdout), object(&run.stdout));
        // How fast the machine is was measured by each; the rest of what was planned is what is done.
        assert!(planned["plan"]["seconds_estimated"].as_f64().is_some_and(|seconds| seconds > 0.0));
        planned["plan"]["seconds_estimated"] = run["plan"]["seconds_estimated"].clone();
        assert_eq!(planned["plan"], run["plan"]);
        (run["plan"]["epochs"].as_u64().expect("epochs") as usize, run)
    };
    let first = study("First", "[1, 4]", "[0, 2, 4]");
    let (epochs, found) = run("first.toml", &first, "data");
    let after_first = trained(&bench.data_dir("data"));
    assert_eq!(total(&after_first), epochs);
    assert!(after_first.values().flat_map(BTreeMap::values).all(|times| *times == 1));
    assert!(epochs < found["plan"]["epochs_without_sharing"].as_u64().expect("epochs") as usize);

    // One temperature is shared with the first study, and so are the teacher and labels alone; a stop on the way is new.
    let second = study("Second", "[4, 16]", "[0, 3, 4]");
    let (epochs, _) = run("second.toml", &second, "data");
    let after_both = trained(&bench.data_dir("data"));
    let (alone, found_alone) = run("second.toml", &second, "alone");
    let after_alone = trained(&bench.data_dir("alone"));
    assert_eq!((alone, total(&after_alone)), (epochs, epochs));
    // A stop between two that were kept is reached from the one before it: by the one epoch from 2 to 3 of the four students of
    // that temperature (two seeds, two teachers), which nobody can have otherwise.
    let before = |key: &SegmentKey, epoch: &u32| after_first.get(key).is_some_and(|epochs| epochs.contains_key(epoch));
    let shared =
        |(key, epochs): (&SegmentKey, &BTreeMap<u32, usize>)| epochs.keys().filter(|epoch| before(key, epoch)).count();
    let shared: usize = after_alone.iter().map(shared).sum();
    assert_eq!(total(&after_both), total(&after_first) + epochs - shared + 4);

    // Teachers' logits were kept in both, and what comes out is the same with them, shared or not, and without.
    assert!(fs::read_dir(bench.data_dir("data").join("teacher-logits")).expect("tables").count() == 2);
    let none = bench.write("second.toml", &second);
    let without = output(bench.command("run", "none").arg(none).args(["--json", "--teacher-logits-limit", "0"]));
    assert!(!bench.data_dir("none").join("teacher-logits").exists());
    assert_eq!(object(&without.stdout)["arms"], found_alone["arms"]);
}
