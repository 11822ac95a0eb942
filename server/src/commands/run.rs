//! `stillroom run STUDY.toml`: trains one study by the same planner, workers and store as the server, and prints what it found.

use super::{Planned, read_and_plan};
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
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::IsTerminal, time::Instant};
use store::{Store, StoreError, StoredStudy};
use study::{Machine, Plan, State, StudyId, TRAINING_VERSION, progress::progress};
use tokio::sync::watch;

pub async fn run(arguments: command_line::Run) -> Result<(), CommandError> {
    let begin = Instant::now();
    let Planned { study, dataset, plan, paths } = read_and_plan(&arguments.study, &arguments.installation)?;
    let folder = DataFolder::open(&arguments.installation.data_dir, "`stillroom run`")?;
    let store = Store::open(folder.path()).await?;
    let machine = machine::find(folder.path(), &paths, arguments.threads);
    eprintln!("{}\n{}", study.title, summary::counts(&plan));
    for remark in &plan.remarks {
        eprintln!("{remark}");
    }

    let same = |stored: &StoredStudy| {
        stored.study == study && stored.dataset == dataset && stored.plan.training_version == TRAINING_VERSION
    };
    let id = match store.studies().await?.into_iter().find(same) {
        Some(stored) => {
            eprintln!("This study was begun before: going on from there.");
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
        datasets: paths,
        threads: machine.threads,
        only: Some(id),
        program,
    };
    let runner = tokio::spawn(runner::run(runner, finished));
    let state = tokio::select! {
        state = watch_progress(&store, id, &plan, &machine, arguments.json) => Some(state?),
        _ = ends.wait_for(|end| *end) => None,
    };
    // The runner holds the other end until it is through; that it is through is all that counts here.
    let _ = finish.send(true);
    let _ = runner.await;

    let Some(state) = state else { return Err(CommandError::Interrupted) };
    let facts = store.facts(&plan).await?;
    let comparison = study::comparison::compare(&study, &plan, &facts);
    if arguments.json {
        println!("{:#}", summary::result_object(&plan, &comparison, begin.elapsed().as_secs_f64()));
    } else {
        println!("{}", summary::result_table(&comparison));
    }
    let failures = progress(&plan, &facts, false, &machine).failures;
    match state {
        State::Finished if failures.is_empty() => Ok(()),
        _ => {
            let reasons: Vec<String> = failures.into_iter().map(|failure| failure.reason).collect();
            Err(CommandError::Unfinished(format!("Not every run came to its end. {}", reasons.join(" "))))
        }
    }
}

/// Shows how far the study is until nothing goes on any more.
async fn watch_progress(
    store: &Store,
    id: StudyId,
    plan: &Plan,
    machine: &Machine,
    quiet: bool,
) -> Result<State, StoreError> {
    let bar = if std::io::stderr().is_terminal() && !quiet {
        ProgressBar::new(plan.epochs)
    } else {
        ProgressBar::with_draw_target(Some(plan.epochs), ProgressDrawTarget::hidden())
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} epochs  {elapsed} {msg}");
    // The template is a constant; a wrong one would only look plain.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut changes = store.changes();
    let mut reported = u64::MAX;
    loop {
        changes.borrow_and_update();
        let stopped = store.study(&id).await?.is_none_or(|study| study.stopped_at.is_some());
        let facts = store.facts(plan).await?;
        let now = progress(plan, &facts, stopped, machine);
        bar.set_position(now.epochs_done);
        if let Some(left) = now.left {
            bar.set_message(format!("about {} left", readable(left.seconds)));
        }
        // Without a terminal, a line each tenth of the way says that it is alive.
        let tenth = now.epochs_done * 10 / now.epochs_total.max(1);
        if bar.is_hidden() && tenth != reported {
            eprintln!("{} of {} epochs", now.epochs_done, now.epochs_total);
            reported = tenth;
        }
        // The last epoch is told before its checkpoint lies there and the clean pass is made.
        let all_there =
            || plan.segments.iter().all(|segment| facts.get(&segment.key).is_some_and(|facts| is_done(segment, facts)));
        let nobody_works = || facts.values().all(|facts| !facts.working);
        let over = match now.state {
            State::Waiting | State::Training => false,
            State::Finished => all_there(),
            State::Failed | State::Stopped => nobody_works(),
        };
        if over {
            bar.finish_and_clear();
            return Ok(now.state);
        }
        // The store is held here: its channel does not close.
        let _ = changes.changed().await;
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
