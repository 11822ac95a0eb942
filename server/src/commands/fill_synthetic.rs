//! `stillroom fill-synthetic`: a finished study of made-up numbers, to see how a large one is shown and what that costs.
//!
//! Its data set has a checksum that no images have, so no other study shares a segment with it; its provenance says that nothing
//! was trained, and every arm is labelled so wherever its numbers go.

use crate::{command_line, data_folder::DataFolder, error::CommandError, process};
use std::collections::BTreeSet;
use store::Store;
use study::{
    CheckpointFile, Dataset, DatasetFacts, Epoch, EpochMetrics, Event, Fidelity, GradientCosine, Job, Kept, Numerics,
    Plan, Provenance, Scores, Segment, Study, TRAINING_VERSION, Term,
};

pub async fn fill_synthetic(arguments: command_line::FillSynthetic) -> Result<(), CommandError> {
    let study = study(arguments.temperatures, arguments.epochs).map_err(CommandError::Study)?;
    let dataset = DatasetFacts {
        dataset: Dataset::FashionMnist,
        checksum: Provenance::SYNTHETIC.into(),
        classes: 10,
        channels: 1,
        image_size: 28,
        train: 55_000,
        validation: 5_000,
        test: 10_000,
    };
    let mut plan = Plan::new(&study, &dataset, Numerics::CpuF32).map_err(CommandError::Study)?;
    for arm in &mut plan.arms {
        arm.label = format!("synthetic: {}", arm.label);
    }
    let folder = DataFolder::open(&arguments.installation.data.dir, "`stillroom fill-synthetic`")?;
    let store = Store::open(folder.path()).await?;
    let id = store.create_study(&study, &plan, &dataset, process::now()).await?;
    for segment in &plan.segments {
        let events = events(segment);
        // There is no folder whose events could be read on.
        store.record(&segment.key, &events, 0).await?;
    }
    store.close().await;
    println!("study {id}: {} runs of {} epochs, made up", plan.runs.len(), arguments.epochs);
    Ok(())
}

fn study(temperatures: u32, epochs: u32) -> Result<Study, Vec<study::SpecError>> {
    let temperatures: Vec<String> = (1..=temperatures).map(|temperature| format!("{temperature}.0")).collect();
    let stop = epochs * 3 / 4;
    Study::from_toml(&format!(
        "title = \"Synthetic: how is a large study shown?\"\n\
         dataset = \"fashion-mnist\"\n\
         seeds = 5\n\
         student = {{ architecture = \"wrn-16-1\", epochs = {epochs} }}\n\
         teacher = {{ architecture = \"wrn-16-4\", epochs = {epochs} }}\n\
         [treatment]\n\
         temperature = [{}]\n\
         kd_weight = [0.3, 0.6, 0.9]\n\
         kd_stop_epoch = [0, {stop}]\n",
        temperatures.join(", ")
    ))
}

/// What a worker would have said of the segment.
fn events(segment: &Segment) -> Vec<Event> {
    let provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        training_version: TRAINING_VERSION,
        host: String::new(),
        instruction_set: "none".into(),
        threads: 0,
        device: Provenance::SYNTHETIC.into(),
        data_checksum: segment.dataset.checksum.clone(),
    };
    let from = segment.from();
    let mut events = vec![Event::Started { version: Job::VERSION, epoch: from, provenance, process: 0 }];
    let all: Vec<EpochMetrics> = (from.0 + 1..=segment.until.0).map(|epoch| metrics(segment, Epoch(epoch))).collect();
    let best_at = |stop: &Epoch| train::segment::best_epoch(all.iter().filter(|metrics| metrics.epoch <= *stop));
    let best: BTreeSet<Epoch> = segment.stops.iter().filter_map(best_at).collect();
    for mut metrics in all.iter().cloned() {
        let epoch = metrics.epoch;
        // Test is looked at where a worker looks: at stops, and at the best on validation until each of them.
        if !best.contains(&epoch) && !segment.stops.contains(&epoch) {
            metrics.test = None;
            for fidelity in &mut metrics.fidelity {
                (fidelity.kd_loss_test, fidelity.agreement_test) = (None, None);
            }
        }
        if !segment.ends.contains(&epoch) {
            metrics.train_clean = None;
        }
        events.push(Event::Epoch(metrics));
        if segment.stops.contains(&epoch) {
            let digest = blake3::hash(format!("{} {epoch}", segment.key).as_bytes()).to_hex().to_string();
            events.push(Event::Checkpoint(CheckpointFile { epoch, kept: Kept::Stop, digest, bytes: 0 }));
        }
    }
    events.push(Event::Finished { epoch: segment.until });
    events
}

/// Curves as training gives them: a rise after each drop of the learning rate that levels off, and noise of the seed and the epoch.
fn metrics(segment: &Segment, epoch: Epoch) -> EpochMetrics {
    let noise = |which: &str| noise(&format!("{} {epoch} {which}", segment.key));
    let learning_rate = segment.schedule.learning_rate_after(Epoch(epoch.0 - 1));
    let drops: Vec<Epoch> = segment.schedule.drops.iter().copied().filter(|drop| *drop < epoch).collect();
    let (stage, begin) = (drops.len(), drops.last().map_or(0, |drop| drop.0));
    let settled = 1.0 - (-f64::from(epoch.0 - begin) / (f64::from(segment.schedule.horizon.0) / 25.0)).exp();
    let level = [0.1, 0.74, 0.87, 0.9, 0.905];
    let (before, after) = (level[stage.min(3)], level[stage.min(3) + 1]);
    let help: f64 = segment.terms.iter().map(|(weight, term)| weight * helps(term)).sum();
    let seed = 0.003 * self::noise(&format!("seed {}", segment.seed));
    let reached = before + (after - before) * settled + help * settled + seed;
    let scores = |accuracy: f64, jitter: f64| Scores {
        cross_entropy: 3.0 * (1.0 - accuracy) * (1.0 + 0.02 * jitter),
        accuracy: (accuracy + 0.004 * jitter).clamp(0.0, 1.0),
        calibration_error: Some((0.3 * (1.0 - accuracy) * (1.0 + 0.1 * jitter)).clamp(0.0, 1.0)),
    };
    let in_training = |scores: Scores| Scores { calibration_error: None, ..scores };
    // The losses agree at first, and less and less; the nearer to the images, the longer.
    let cosine = |depth: f64, observer: &str| {
        let level = 0.9 - 1.1 * reached.powi(4) - 0.04 * depth;
        Some((level + 0.02 * noise(&format!("cosine {depth} {observer}"))).into())
    };
    let fidelity = segment.measured_against().into_iter().map(|observer| {
        let teaches = segment.terms.iter().any(|(_, term)| term.teacher() == Some(&observer.teacher));
        let loss = observer.temperature * (1.1 - reached) * (1.0 + 0.03 * noise("loss"));
        let which = observer.temperature.to_string();
        Fidelity {
            kd_loss_train: teaches.then_some(0.9 * loss),
            kd_loss_validation: Some(loss),
            kd_loss_test: Some(1.01 * loss),
            agreement_train: teaches.then_some((reached + 0.02 + 0.003 * noise("agreement in training")).min(1.0)),
            agreement_validation: Some((reached + 0.01 + 0.003 * noise("agreement")).min(1.0)),
            agreement_test: Some((reached + 0.008 + 0.003 * noise("agreement on test")).min(1.0)),
            gradient_cosine: Some(GradientCosine {
                all: cosine(2.5, &which),
                groups: (0..5).map(|depth| cosine(f64::from(depth), &which)).collect(),
            }),
            ..Fidelity::to(observer)
        }
    });
    EpochMetrics {
        epoch,
        learning_rate,
        train: in_training(scores(reached + 0.03, noise("train"))),
        train_clean: Some(in_training(scores(reached + 0.05, noise("clean")))),
        validation: Some(scores(reached, noise("validation"))),
        test: Some(scores(reached - 0.003, noise("test"))),
        fidelity: fidelity.collect(),
        seconds: 20.0 + noise("seconds"),
        images_per_second: EpochMetrics::rate(2_250.0 + 100.0 * noise("images"), 1.0),
    }
}

/// How much a term lifts the accuracy: most at a temperature of about 4.
fn helps(term: &Term<study::CheckpointId>) -> f64 {
    match term {
        Term::CrossEntropy => 0.0,
        Term::Kd { temperature, .. } => 0.015 - 0.01 * (temperature / 4.0).ln().powi(2),
        Term::StandardisedKd { .. } | Term::Attention { .. } | Term::Dkd { .. } | Term::Dist { .. } => 0.012,
    }
}

/// From -1 to 1, the same for the same words.
fn noise(words: &str) -> f64 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&blake3::hash(words.as_bytes()).as_bytes()[..4]);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) * 2.0 - 1.0
}
