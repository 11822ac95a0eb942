use crate::examples::*;
use study::{EpochMetrics, Event, GradientCosine, Kept, Observer, Scores};

/// 200 runs of 200 epochs, each measured against a teacher every epoch, told as 16 workers side by side tell them.
#[tokio::test]
async fn two_hundred_runs_of_two_hundred_epochs_take_less_than_eight_megabytes() {
    const RUNS: u32 = 200;
    const EPOCHS: u32 = 200;
    const WORKERS: u32 = 16;
    const TOLD_AT_ONCE: u32 = 20;
    let (folder, store) = empty_store().await;
    let observers = || vec![Observer { teacher: teacher(0), temperature: 4.0 }];
    let plan = plan((0..RUNS).map(|number| segment(number, EPOCHS, observers())).collect());
    create(&store, "large", &plan).await;

    // Digits as real measurements have them: nothing here is a whole number that SQLite would store in fewer bytes.
    let real = |run: u32, epoch: u32, which: u32| (f64::from(run * 1_000 + epoch) + f64::from(which) / 7.0).sin().abs();
    let scores = |run: u32, epoch: u32, which: u32| Scores {
        cross_entropy: real(run, epoch, which),
        accuracy: real(run, epoch, which + 1),
        calibration_error: Some(real(run, epoch, which + 13)),
    };
    let cosine = |run: u32, epoch: u32, which: u32| Some(real(run, epoch, which).into());
    let told = |run: u32, epoch: u32| EpochMetrics {
        train: Scores { calibration_error: None, ..scores(run, epoch, 1) },
        validation: Some(scores(run, epoch, 3)),
        test: (epoch == EPOCHS).then(|| scores(run, epoch, 5)),
        fidelity: vec![study::Fidelity {
            kd_loss_train: Some(real(run, epoch, 7)),
            kd_loss_validation: Some(real(run, epoch, 8)),
            agreement_train: Some(real(run, epoch, 9)),
            agreement_validation: Some(real(run, epoch, 10)),
            kd_loss_test: (epoch == EPOCHS).then(|| real(run, epoch, 20)),
            agreement_test: (epoch == EPOCHS).then(|| real(run, epoch, 21)),
            gradient_cosine: Some(GradientCosine {
                all: cosine(run, epoch, 22),
                groups: (23..28).map(|which| cosine(run, epoch, which)).collect(),
            }),
            ..fidelity(0, 4.0)
        }],
        seconds: real(run, epoch, 11),
        images_per_second: real(run, epoch, 12),
        ..metrics(epoch)
    };
    for first_run in (0..RUNS).step_by(WORKERS as usize) {
        for first_epoch in (1..=EPOCHS).step_by(TOLD_AT_ONCE as usize) {
            for run in first_run..(first_run + WORKERS).min(RUNS) {
                let epochs = first_epoch..first_epoch + TOLD_AT_ONCE;
                let mut events: Vec<_> = epochs.map(|epoch| Event::Epoch(told(run, epoch))).collect();
                events.push(Event::Checkpoint(checkpoint(first_epoch + TOLD_AT_ONCE - 1, Kept::Stop)));
                store.record(&key(run), &events, u64::from(first_epoch)).await.unwrap();
            }
        }
    }
    let facts = store.facts(&plan).await.unwrap();
    assert_eq!(facts.values().map(|facts| facts.metrics.len()).sum::<usize>(), (RUNS * EPOCHS) as usize);
    let epochs = || facts.values().flat_map(|facts| &facts.metrics);
    assert!(epochs().all(|metrics| metrics.fidelity.len() == 1 && metrics.fidelity[0].gradient_cosine.is_some()));

    store.close().await;
    let bytes: u64 =
        std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes < 8_000_000, "{bytes} bytes");
    println!("{bytes} bytes");
}
