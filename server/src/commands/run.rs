//! `stillroom run STUDY.toml`: trains one study by the same planner, workers and store as the server, and prints what it found.

use super::{Leaves, Planned, read_and_plan};
use crate::{
    command_line,
    data_folder::DataFolder,
    error::CommandError,
    executor::local,
    machine,
    next_work::is_done,
    process,
    runner::{self, Runner},
    summary,
    terminal::{self, Tenths, tell},
};
use indicatif::{ProgressBar, ProgressDrawTarget};
use std::{collections::BTreeSet, io::IsTerminal, sync::Arc, time::Instant};
use store::{Store, StoreError, StoredStudy};
use study::{
    EvaluateTest, Facts, Machine, Outlook, Plan, Progress, SegmentKey, State, Study, StudyId, comparison::compare,
    cost::needs_speed_of_candle, numbers::at_most, search::asked, teacher_logits::in_words,
};
use tokio::sync::watch;

pub async fn run(arguments: command_line::Run, bar: ProgressBar) -> Result<(), CommandError> {
    let begin = Instant::now();
    let Planned { study, dataset, plan, paths, machine } =
        read_and_plan(&arguments.study, &arguments.installation, arguments.threads, Leaves::Notes)?;
    let folder = DataFolder::open(&arguments.installation.data.dir, "`stillroom run`")?;
    let store = Store::open(folder.path()).await?;
    let needs_candle = needs_speed_of_candle(&plan);
    let machine = machine::measured(machine, needs_candle, Some(folder.path()));
    let outlook = Outlook::of(&study, &plan, &machine);
    eprintln!("{}\n{}", study.title, summary::counts(&plan, &outlook));
    for remark in plan.remarks.iter().chain(&in_words(&outlook.teacher_logits)).chain(&outlook.slow) {
        eprintln!("{remark}");
    }

    // What is watched below must be what is trained: another plan of the same study is another study.
    let same = |stored: &StoredStudy| stored.study == study && stored.dataset == dataset && stored.plan == plan;
    let id = match store.studies().await?.into_iter().find(same) {
        Some(stored) => {
            eprintln!("This study was begun before: what was trained of it is not trained again.");
            store.resume_study(&stored.id).await?;
            stored.id
        }
        None => store.create_study(&study, &plan, &dataset, process::now()).await?,
    };

    let program =
        local::program().map_err(|source| CommandError::Io { doing: "find", path: "this program".into(), source })?;
    let mut ends =
        process::ends().map_err(|source| CommandError::Io { doing: "listen for", path: "signals".into(), source })?;
    let (finish, finished) = watch::channel(false);
    let runner = Runner {
        store: store.clone(),
        data_dir: folder.path().to_owned(),
        datasets: paths.into(),
        threads: machine.threads,
        memory: machine.memory,
        teacher_logits_limit: machine.teacher_logits_limit,
        only: Some(id),
        program,
        teacher_logits_bytes: Arc::default(),
    };
    let mut runner = tokio::spawn(runner::run(runner, finished));
    if std::io::stderr().is_terminal() && !arguments.json {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    let watched = tokio::select! {
        over = watch_progress(&store, id, &study, &plan, &machine, &bar) => over.map(Some),
        _ = ends.wait_for(|end| *end) => Ok(None),
        // It ends only when it is told to, below: that it did so by itself is its panic, and nobody trains any more.
        ended = &mut runner => {
            let why = ended.err().map_or(String::new(), |error| format!(" ({error})"));
            let sentence = format!("What starts workers ended by itself{why}; the same command goes on from what was trained.");
            return Err(CommandError::Unfinished(sentence));
        }
    };
    // The runner holds the other end until it is through; that it is through is all that counts here.
    let _ = finish.send(true);
    let _ = runner.await;

    let Some((state, facts)) = watched? else { return Err(CommandError::Interrupted) };
    // Of a search every run that was ever asked for is told, and it has failed only where the last round has.
    let asked = asked(&study, &plan, &facts);
    let comparison = compare(&study, &asked, &facts, state == State::Stopped);
    let comparison = comparison.with_seed_additions(&store.seed_additions(&id).await?);
    let told: &Plan = &asked.so_far;
    if arguments.json {
        let found = Some((&comparison, begin.elapsed().as_secs_f64()));
        let object = summary::object(&plan, Some(told), &outlook, found);
        tell(&format!("{}\n", summary::in_json(&object)))?;
        eprint!("{}{}", summary::footnotes(&comparison), summary::teachers(told, &facts));
    } else {
        tell(&format!("{}\n{}", summary::result_table(&comparison), summary::teachers(told, &facts)))?;
    }
    let failures = summary::failures(&asked.now, &facts);
    match state {
        State::Finished if failures.is_empty() => Ok(()),
        _ => {
            let lines = std::iter::once("Not every run came to its end.".to_owned()).chain(failures);
            Err(CommandError::Unfinished(lines.collect::<Vec<_>>().join("\n")))
        }
    }
}

/// Shows how far the study is until nothing goes on any more: how it ended, and what is known. `whole` is its whole plan.
async fn watch_progress(
    store: &Store,
    id: StudyId,
    study: &Study,
    whole: &Plan,
    machine: &Machine,
    bar: &ProgressBar,
) -> Result<(State, Facts), StoreError> {
    let begin = Instant::now();
    bar.set_style(terminal::style("{bar:40} {pos}/{len} epochs  {msg}"));
    let mut changes = store.changes();
    let mut tenths = Tenths::default();
    loop {
        changes.borrow_and_update();
        let stopped = store.study(&id).await?.is_none_or(|study| study.stopped_at.is_some());
        let facts = store.facts(whole).await?;
        // A search asks for more as it goes.
        let asked = asked(study, whole, &facts);
        let now = asked.progress(&facts, stopped, machine);
        let bound = at_most(asked.report.is_some());
        bar.set_length(now.epochs_total);
        bar.set_position(now.epochs_done);
        bar.set_message(message(begin.elapsed().as_secs_f64(), &now));
        if bar.is_hidden() && tenths.passed(now.epochs_done, now.epochs_total) {
            eprintln!("{} of {bound}{} epochs", now.epochs_done, now.epochs_total);
        }
        if is_over(now.state, &asked.now, study.recipe.evaluate_test, &facts) {
            bar.finish_and_clear();
            return Ok((now.state, facts));
        }
        // The store is held here: its channel does not close.
        let _ = changes.changed().await;
    }
}

/// Whether nothing goes on any more. The last epoch is told before its checkpoint lies there and the clean pass is made, so a
/// study whose runs are finished is waited for until all of that is done, or has failed and cannot be.
fn is_over(state: State, plan: &Plan, evaluate_test: EvaluateTest, facts: &Facts) -> bool {
    let nobody_works = facts.values().all(|facts| !facts.working);
    match state {
        State::Waiting | State::Training => false,
        State::Failed | State::Stopped => nobody_works,
        State::Finished => {
            let mut lost: BTreeSet<&SegmentKey> = BTreeSet::new();
            let mut settled = true;
            for segment in &plan.segments {
                let own = facts.get(&segment.key);
                if own.is_some_and(|own| is_done(segment, evaluate_test, own)) {
                    continue;
                }
                let failed = own.is_some_and(|own| own.failure.is_some());
                if failed || segment.needs().iter().any(|need| lost.contains(&need.segment)) {
                    lost.insert(&segment.key);
                } else {
                    settled = false;
                }
            }
            settled && (lost.is_empty() || nobody_works)
        }
    }
}

/// How long it has taken and may take: "51 s, about 38 s left". The last evaluations are no epochs and have no estimate.
fn message(seconds: f64, now: &Progress) -> String {
    let gone = readable(seconds);
    match now.left {
        Some(left) => format!("{gone}, about {} left", readable(left.seconds.max(1.0))),
        None if now.epochs_done == now.epochs_total => format!("{gone}, last evaluations"),
        None => gone,
    }
}

/// "40 s", "12 min", "3 h 5 min".
fn readable(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round() as u64;
    match minutes {
        0..=1 => format!("{seconds:.0} s"),
        2..=90 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use study::{
        CheckpointFile, Dataset, DatasetFacts, Epoch, EpochMetrics, Failure, Kept, Numerics, Scores, Segment,
        SegmentFacts, Speed, cost::Pace,
    };

    fn study() -> Study {
        let text =
            "title = \"?\"\ndataset = \"mnist\"\nseeds = 2\nstudent = { architecture = \"wrn-10-1\", epochs = 1 }";
        Study::from_toml(text).expect("a study")
    }

    fn plan() -> Plan {
        let dataset = DatasetFacts {
            dataset: Dataset::Mnist,
            checksum: String::new(),
            classes: 10,
            channels: 1,
            image_size: 28,
            train: 55_000,
            validation: 5_000,
            test: 10_000,
        };
        Plan::new(&study(), &dataset, Numerics::CpuF32).expect("a plan")
    }

    /// A segment whose run is finished; closed or not.
    fn facts(segment: &Segment, closed: bool) -> SegmentFacts {
        let scores = Scores { cross_entropy: 1.0, accuracy: 0.5, calibration_error: None };
        let metrics = EpochMetrics {
            epoch: segment.until,
            learning_rate: 0.1,
            train: scores,
            train_clean: closed.then_some(scores),
            validation: None,
            test: Some(scores),
            fidelity: Vec::new(),
            seconds: 1.0,
            images_per_second: 1.0,
        };
        let checkpoint = CheckpointFile { epoch: segment.until, kept: Kept::Stop, digest: String::new(), bytes: 1 };
        SegmentFacts { metrics: vec![metrics].into(), checkpoints: vec![checkpoint], ..SegmentFacts::default() }
    }

    #[test]
    fn how_long_it_takes_is_said_in_one_way_and_not_once_only_evaluations_are_left() {
        let plan = plan();
        let pace = Pace { seconds_per_multiply_accumulate: 1e-9, seconds_per_activation: 0.0 };
        let machine = Machine {
            threads: 1,
            speed: Some(Speed { step: pace, evaluation: pace }),
            speed_of_candle: None,
            teacher_logits_limit: 0,
            instruction_set: "portable".into(),
            memory: None,
            devices: Vec::new(),
            no_gpu: None,
            datasets: Vec::new(),
            unusable: Vec::new(),
            imported: Vec::new(),
        };
        let mut known = Facts::new();
        let progress = |known: &Facts| asked(&study(), &plan, known).progress(known, false, &machine);
        let said = |known: &Facts| message(51.4, &progress(known));
        assert!(said(&known).starts_with("51 s, about ") && said(&known).ends_with(" left"), "{}", said(&known));
        for segment in &plan.segments {
            let mut its = facts(segment, false);
            its.metrics[0].test = None;
            known.insert(segment.key.clone(), SegmentFacts { working: true, ..its });
        }
        assert_eq!(said(&known), "51 s, last evaluations");
    }

    #[test]
    fn a_study_is_over_when_all_is_closed_or_cannot_be() {
        let plan = plan();
        let [one, other] = &plan.segments[..] else { panic!("two seeds") };
        let mut known = Facts::from([(one.key.clone(), facts(one, true)), (other.key.clone(), facts(other, false))]);
        assert!(!is_over(State::Training, &plan, EvaluateTest::Checkpoints, &known));
        assert!(
            !is_over(State::Finished, &plan, EvaluateTest::Checkpoints, &known),
            "the clean pass is still to be made"
        );
        // Its worker failed after the last epoch was told: nobody will make it.
        let failure = Failure { epoch: Epoch(1), reason: "the disk is full".into(), may_succeed_again: true };
        known.entry(other.key.clone()).or_default().failure = Some(failure);
        known.entry(one.key.clone()).or_default().working = true;
        assert!(!is_over(State::Finished, &plan, EvaluateTest::Checkpoints, &known), "another worker has not left yet");
        known.entry(one.key.clone()).or_default().working = false;
        assert!(is_over(State::Finished, &plan, EvaluateTest::Checkpoints, &known));
        known.insert(other.key.clone(), facts(other, true));
        assert!(is_over(State::Finished, &plan, EvaluateTest::Checkpoints, &known));
        assert!(is_over(State::Stopped, &plan, EvaluateTest::Checkpoints, &Facts::new()));
    }
}
