use crate::examples::*;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use store::StoreError;
use study::{Cosine, Epoch, EpochMetrics, Event, Failure, Fidelity, GradientCosine, Kept, Scores, SegmentFacts};

const TEST: Scores = Scores { cross_entropy: 0.3, accuracy: 0.9, calibration_error: Some(0.3) };

#[tokio::test]
async fn what_a_worker_told_comes_back_in_order() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new())]);
    create(&store, "facts", &plan).await;
    let mut last = metrics(3);
    last.train_clean = Some(Scores { cross_entropy: 0.1 + 0.2, accuracy: 1.0, calibration_error: None });
    last.test = Some(TEST);
    last.validation = None;
    let mut without_training = fidelity(1, 16.0);
    without_training.kd_loss_train = None;
    without_training.agreement_train = None;
    without_training.gradient_cosine = None;
    let mut expected = fidelity(0, 4.0);
    expected.kd_loss_validation = Some(f64::MIN_POSITIVE);
    (expected.kd_loss_test, expected.agreement_test) = (Some(1.0 / 3.0), Some(0.7));
    // A network with other groups, and a gradient that is zero.
    expected.gradient_cosine = Some(GradientCosine { all: None, groups: vec![None, Some(0.3.into())] });
    last.fidelity = vec![without_training.clone(), expected.clone(), fidelity(0, 1.0)];
    let events = [
        started("first"),
        Event::Epoch(metrics(2)),
        Event::Epoch(last.clone()),
        Event::Epoch(metrics(1)),
        Event::Checkpoint(checkpoint(3, Kept::Stop)),
        Event::Checkpoint(checkpoint(1, Kept::Best)),
        Event::Checkpoint(checkpoint(2, Kept::Latest)),
        note("z was said first"),
        note("a was said second"),
        started("second"),
        Event::Finished { epoch: Epoch(3) },
    ];
    store.record(&key(1), &events, 777).await.unwrap();

    last.fidelity = vec![fidelity(0, 1.0), expected, without_training];
    last.fidelity.sort_by(|a, b| a.teacher.cmp(&b.teacher));
    let facts = store.facts(&plan).await.unwrap();
    let mut keys = vec![key(1), key(2)];
    keys.sort();
    assert_eq!(facts.keys().cloned().collect::<Vec<_>>(), keys);
    let expected = SegmentFacts {
        metrics: vec![metrics(1), metrics(2), last].into(),
        checkpoints: vec![checkpoint(1, Kept::Best), checkpoint(2, Kept::Latest), checkpoint(3, Kept::Stop)],
        failure: None,
        provenance: Some(provenance("second")),
        notes: vec!["z was said first".into(), "a was said second".into()],
        working: false,
    };
    assert_eq!(facts[&key(1)], expected);
    assert_eq!(facts[&key(2)], SegmentFacts::default());
    assert_eq!(store.offset(&key(1)).await.unwrap(), 777);
    assert_eq!(store.offset(&key(2)).await.unwrap(), 0);
}

#[tokio::test]
async fn a_later_line_of_an_epoch_never_loses_a_score() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "scores", &plan).await;
    let full = EpochMetrics {
        train_clean: Some(Scores { calibration_error: None, ..TEST }),
        test: Some(TEST),
        fidelity: vec![Fidelity { kd_loss_test: Some(0.5), agreement_test: Some(0.25), ..fidelity(0, 4.0) }],
        seconds: 1.0,
        ..metrics(1)
    };
    let mut measured_later = fidelity(1, 4.0);
    measured_later.kd_loss_train = None;
    let mut known = fidelity(0, 4.0);
    known.kd_loss_train = None;
    known.gradient_cosine = None;
    known.agreement_validation = Some(1.0);
    let uncalibrated = metrics(1).validation.map(|scores| Scores { calibration_error: None, ..scores });
    let later = EpochMetrics {
        validation: uncalibrated,
        fidelity: vec![known, measured_later.clone()],
        seconds: 2.0,
        ..metrics(1)
    };
    store.record(&key(1), &[Event::Epoch(full.clone())], 1).await.unwrap();
    store.record(&key(1), &[Event::Epoch(later)], 2).await.unwrap();

    let mut merged = fidelity(0, 4.0);
    merged.agreement_validation = Some(1.0);
    (merged.kd_loss_test, merged.agreement_test) = (Some(0.5), Some(0.25));
    let mut fidelity = vec![merged, measured_later];
    fidelity.sort_by(|a, b| a.teacher.cmp(&b.teacher));
    let expected = EpochMetrics { fidelity, seconds: 2.0, ..full };
    assert_eq!(*store.facts(&plan).await.unwrap()[&key(1)].metrics, [expected]);
}

/// Of a large study that trains, one segment is another since it was last asked about: the others are not read again.
#[tokio::test]
async fn only_what_was_written_since_is_read_again() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new())]);
    let id = create(&store, "again", &plan).await;
    for number in [1, 2] {
        store.record(&key(number), &[Event::Epoch(metrics(1))], 1).await.unwrap();
    }
    let first = store.facts(&plan).await.unwrap();
    let is_shared = |facts: &study::Facts, number| {
        std::ptr::eq(facts[&key(number)].metrics.as_ptr(), first[&key(number)].metrics.as_ptr())
    };
    let again = store.facts(&plan).await.unwrap();
    assert!(again == first && is_shared(&again, 1) && is_shared(&again, 2));

    store
        .record(&key(2), &[Event::Epoch(metrics(2)), Event::Checkpoint(checkpoint(2, Kept::Latest))], 2)
        .await
        .unwrap();
    let later = store.clone().facts(&plan).await.unwrap();
    assert_eq!(*later[&key(2)].metrics, [metrics(1), metrics(2)]);
    assert_eq!(later[&key(2)].checkpoints, [checkpoint(2, Kept::Latest)]);
    assert!(is_shared(&later, 1) && !is_shared(&later, 2));
    assert_eq!(*first[&key(2)].metrics, [metrics(1)], "what was read stays as it was");

    // A segment that is planned again begins anew.
    store.delete_study(&id).await.unwrap();
    assert!(store.facts(&plan).await.unwrap().is_empty());
    create(&store, "anew", &plan).await;
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)], SegmentFacts::default());
}

#[tokio::test]
async fn a_failure_stays_until_a_worker_begins_again() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "failure", &plan).await;
    let failure = Failure { epoch: Epoch(3), reason: "the loss is not finite".into(), may_succeed_again: false };
    store.record(&key(1), &[started("here"), Event::Failed(failure.clone())], 1).await.unwrap();
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)].failure, Some(failure));
    store.record(&key(1), &[started("here")], 2).await.unwrap();
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)].failure, None);
}

#[tokio::test]
async fn a_pruned_checkpoint_is_gone_and_may_come_back() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "pruned", &plan).await;
    let events = [
        Event::Checkpoint(checkpoint(1, Kept::Latest)),
        Event::Checkpoint(checkpoint(2, Kept::Latest)),
        Event::Checkpoint(checkpoint(2, Kept::Best)),
        Event::Pruned { epochs: vec![Epoch(1), Epoch(9)] },
    ];
    store.record(&key(1), &events, 1).await.unwrap();
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)].checkpoints, [checkpoint(2, Kept::Best)]);
    store.record(&key(1), &[Event::Checkpoint(checkpoint(1, Kept::Stop))], 2).await.unwrap();
    let expected = [checkpoint(1, Kept::Stop), checkpoint(2, Kept::Best)];
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)].checkpoints, expected);
}

#[tokio::test]
async fn a_segment_that_nobody_uses_cannot_be_recorded() {
    let (_folder, store) = empty_store().await;
    let refused = store.record(&key(1), &[Event::Epoch(metrics(1))], 1).await;
    assert!(matches!(refused, Err(StoreError::UnknownSegment(segment)) if segment == key(1)));
    assert!(store.facts(&plan(vec![segment(1, 20, Vec::new())])).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_with_a_metric_that_is_no_number_is_refused_whole() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "nan", &plan).await;
    let test = Some(Scores { calibration_error: Some(f64::NAN), ..TEST });
    let events = [Event::Epoch(metrics(1)), Event::Epoch(EpochMetrics { test, ..metrics(2) })];
    let refused = store.record(&key(1), &events, 9).await;
    assert!(
        matches!(&refused, Err(StoreError::NotANumber { epoch: Epoch(2), metric, .. }) if metric.contains("test")),
        "{refused:?}"
    );
    assert_eq!(store.facts(&plan).await.unwrap()[&key(1)], SegmentFacts::default());
    assert_eq!(store.offset(&key(1)).await.unwrap(), 0);

    let diverged = Scores { cross_entropy: f64::INFINITY, accuracy: 0.1, calibration_error: None };
    let diverged = EpochMetrics { train: diverged, validation: Some(diverged), ..metrics(2) };
    store.record(&key(1), &[Event::Epoch(diverged.clone())], 9).await.unwrap();
    assert_eq!(*store.facts(&plan).await.unwrap()[&key(1)].metrics, [diverged]);
}

#[tokio::test]
async fn who_works_is_known_at_once_and_forgotten_with_the_process() {
    let (folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new())]);
    create(&store, "working", &plan).await;
    store.set_working(&key(1), true).await;
    let facts = store.facts(&plan).await.unwrap();
    assert!(facts[&key(1)].working && !facts[&key(2)].working);
    assert!(store.clone().facts(&plan).await.unwrap()[&key(1)].working);

    let reopened = store::Store::open(folder.path()).await.unwrap();
    assert!(!reopened.facts(&plan).await.unwrap()[&key(1)].working);
    store.set_working(&key(1), false).await;
    assert!(!store.facts(&plan).await.unwrap()[&key(1)].working);
}

#[tokio::test]
async fn the_revision_moves_after_what_a_page_could_show_and_not_otherwise() {
    let (_folder, store) = empty_store().await;
    let mut changes = store.changes();
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    let id = create(&store, "revision", &plan).await;
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();

    store.facts(&plan).await.unwrap();
    store.studies().await.unwrap();
    store.record(&key(1), &[], 5).await.unwrap();
    store.set_working(&key(1), false).await;
    assert!(store.record(&key(2), &[Event::Epoch(metrics(1))], 5).await.is_err());
    assert!(!changes.has_changed().unwrap());

    store.record(&key(1), &[Event::Epoch(metrics(1))], 5).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    store.set_working(&key(1), true).await;
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    store.stop_study(&id, 5).await.unwrap();
    assert!(changes.has_changed().unwrap());
}

fn any_event() -> impl Strategy<Value = Event> {
    let scores = || {
        let calibration_error = (0..=10_000).prop_map(|steps| f64::from(steps) / Scores::CALIBRATION_STEPS);
        let scores = (0.0..3.0, 0.0..1.0, prop::option::of(calibration_error));
        prop::option::of(scores.prop_map(|(cross_entropy, accuracy, calibration_error)| Scores {
            cross_entropy,
            accuracy,
            calibration_error,
        }))
    };
    let cosine = || prop::option::of((-500i16..=500).prop_map(|steps| Cosine { steps }));
    let cosines = (cosine(), prop::collection::vec(cosine(), 0..7));
    let cosines = prop::option::of(cosines.prop_map(|(all, groups)| GradientCosine { all, groups }));
    let losses = (prop::option::of(0.0..9.0), prop::option::of(0.0..9.0), prop::option::of(0.0..1.0));
    let fidelity = (0u32..3, 1u32..3, losses, cosines).prop_map(
        |(number, temperature, (kd_loss_train, kd_loss_test, agreement_validation), gradient_cosine)| Fidelity {
            kd_loss_train,
            kd_loss_test,
            agreement_validation,
            gradient_cosine,
            ..fidelity(number, f64::from(temperature))
        },
    );
    let epoch = (1u32..5, scores(), scores(), scores(), prop::collection::vec(fidelity, 0..3), 0.0..9.0).prop_map(
        |(epoch, train_clean, validation, test, fidelity, seconds)| {
            let train_clean = train_clean.map(|scores| Scores { calibration_error: None, ..scores });
            Event::Epoch(EpochMetrics { train_clean, validation, test, fidelity, seconds, ..metrics(epoch) })
        },
    );
    let kept = prop::sample::select(vec![Kept::Stop, Kept::Best, Kept::Latest]);
    prop_oneof![
        4 => epoch,
        2 => (1u32..5, kept).prop_map(|(epoch, kept)| Event::Checkpoint(checkpoint(epoch, kept))),
        1 => prop::collection::vec((1u32..5).prop_map(Epoch), 0..3).prop_map(|epochs| Event::Pruned { epochs }),
        1 => prop::sample::select(vec!["a", "b", "c"]).prop_map(note),
        1 => prop::sample::select(vec!["here", "there"]).prop_map(started),
        1 => any::<bool>().prop_map(|may_succeed_again| {
            Event::Failed(Failure { epoch: Epoch(2), reason: "killed".into(), may_succeed_again })
        }),
        1 => Just(Event::Left { epoch: Epoch(2) }),
        1 => Just(Event::Finished { epoch: Epoch(4) }),
    ]
}

/// However a worker's lines reach the store, in pieces or partly again after a crash, they come to the same facts.
#[test]
fn facts_do_not_depend_on_how_the_events_arrived() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_folder, store) = runtime.block_on(empty_store());
    let number = AtomicU32::new(0);
    // Each piece: how many lines are new, and how many of those already read are read once more before them.
    let pieces = prop::collection::vec((0usize..6, 0usize..9), 0..12);
    let events = prop::collection::vec(any_event(), 0..24);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&(events, pieces), |(events, pieces)| {
        let first = number.fetch_add(2, Ordering::Relaxed);
        let plan = plan(vec![segment(first, 20, Vec::new()), segment(first + 1, 20, Vec::new())]);
        let facts = runtime.block_on(async {
            create(&store, "property", &plan).await;
            store.record(&key(first), &events, 1).await.unwrap();
            let mut read = 0;
            for (new, again) in pieces.into_iter().chain([(events.len(), 0)]) {
                let (from, to) = (read - again.min(read), (read + new).min(events.len()));
                store.record(&key(first + 1), &events[from..to], 1).await.unwrap();
                read = to;
            }
            store.facts(&plan).await.unwrap()
        });
        prop_assert_eq!(&facts[&key(first)], &facts[&key(first + 1)]);
        Ok(())
    });
    outcome.unwrap();
}
