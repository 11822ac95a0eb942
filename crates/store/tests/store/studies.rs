use crate::examples::*;
use store::{GoingOn, StoredStudy};
use study::{Event, Failure, Numerics, Observer, Plan, RunId, Study, StudyId};

#[tokio::test]
async fn a_study_comes_back_as_it_was_started_bit_by_bit() {
    let (_folder, store) = empty_store().await;
    let observers = vec![Observer { teacher: teacher(1), temperature: 0.1 + 0.7 }];
    let plan = plan(vec![segment(1, 20, observers), segment(2, 8, Vec::new())]);
    let id = create(&store, "Does \"it\" help? ' ; drop table study; -- \u{1F9EA}", &plan).await;

    let expected = StoredStudy {
        id,
        created_at: 1_700_000_000,
        stopped_at: None,
        study: study("Does \"it\" help? ' ; drop table study; -- \u{1F9EA}"),
        plan,
        dataset: dataset(),
    };
    assert_eq!(store.study(&id).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.studies().await.unwrap(), [expected]);
}

#[tokio::test]
async fn ids_that_name_no_study_find_none() {
    let (_folder, store) = empty_store().await;
    for id in [0, 1, i64::MAX as u64 + 1, u64::MAX].map(StudyId) {
        assert_eq!(store.study(&id).await.unwrap(), None);
        assert!(!store.stop_study(&id, 5).await.unwrap());
        assert!(!store.resume_study(&id).await.unwrap());
        assert_eq!(store.delete_study(&id).await.unwrap(), []);
    }
    for id in ["", "0123456789abcdef", "' or 1 = 1 --"] {
        assert_eq!(store.run(&RunId(id.into())).await.unwrap(), None);
    }
}

#[tokio::test]
async fn studies_are_listed_newest_first_and_it_is_known_who_goes_on() {
    let (_folder, store) = empty_store().await;
    let mut ids = Vec::new();
    for title in ["first", "second", "third"] {
        ids.push(create(&store, title, &plan(vec![segment(1, 20, Vec::new())])).await);
    }
    let listed: Vec<_> = store.studies().await.unwrap().into_iter().map(|stored| stored.id).collect();
    assert_eq!(listed, [ids[2], ids[1], ids[0]]);

    assert!(store.stop_study(&ids[1], 50).await.unwrap());
    let nothing_added = |goes_on| GoingOn { goes_on, seed_additions: 0 };
    let expected = [(ids[0], true), (ids[1], false), (ids[2], true)].map(|(id, goes_on)| (id, nothing_added(goes_on)));
    assert_eq!(store.going_on().await.unwrap(), expected.into());
}

#[tokio::test]
async fn it_is_known_which_other_study_has_a_worker() {
    let (_folder, store) = empty_store().await;
    let with = |numbers: &[u32]| plan(numbers.iter().map(|number| segment(*number, 20, Vec::new())).collect());
    let first = create(&store, "first", &with(&[1, 2])).await;
    let second = create(&store, "second", &with(&[2, 3])).await;
    let third = create(&store, "third", &with(&[3, 4])).await;
    let other = async |id: &StudyId| store.oldest_other_at_work(id).await.unwrap();
    assert_eq!(other(&second).await, None);

    // What several ask for is everyone's own.
    store.set_working(&key(2), true).await;
    assert_eq!((other(&first).await, other(&second).await, other(&third).await), (None, None, Some(first)));
    store.set_working(&key(1), true).await;
    assert_eq!(other(&second).await, Some(first));
    // One that was stopped stands before nobody, also while its workers leave.
    store.stop_study(&first, 50).await.unwrap();
    assert_eq!((other(&second).await, other(&third).await), (None, Some(second)));
}

#[tokio::test]
async fn stopping_twice_keeps_the_first_time_and_resuming_clears_it() {
    let (_folder, store) = empty_store().await;
    let id = create(&store, "stop", &plan(vec![segment(1, 20, Vec::new())])).await;
    assert!(store.stop_study(&id, 50).await.unwrap());
    assert!(store.stop_study(&id, 60).await.unwrap());
    assert_eq!(store.study(&id).await.unwrap().unwrap().stopped_at, Some(50));
    assert!(store.resume_study(&id).await.unwrap());
    assert_eq!(store.study(&id).await.unwrap().unwrap().stopped_at, None);
}

#[tokio::test]
async fn resuming_forgets_only_failures_that_may_succeed_again_of_that_study() {
    let (_folder, store) = empty_store().await;
    let failing = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new())]);
    let other = plan(vec![segment(3, 20, Vec::new())]);
    let id = create(&store, "failing", &failing).await;
    create(&store, "other", &other).await;
    let failure =
        |may_succeed_again| Failure { epoch: study::Epoch(4), reason: "the disk is full".into(), may_succeed_again };
    for (number, may_succeed_again) in [(1, true), (2, false), (3, true)] {
        store.record(&key(number), &[Event::Failed(failure(may_succeed_again))], 10).await.unwrap();
    }

    assert!(store.resume_study(&id).await.unwrap());

    let facts = store.facts(&failing).await.unwrap();
    assert_eq!(facts[&key(1)].failure, None);
    assert_eq!(facts[&key(2)].failure, Some(failure(false)));
    assert_eq!(store.facts(&other).await.unwrap()[&key(3)].failure, Some(failure(true)));
}

#[tokio::test]
async fn deleting_a_study_keeps_what_another_uses() {
    let (_folder, store) = empty_store().await;
    let first = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new()), segment(4, 20, Vec::new())]);
    let second = plan(vec![segment(2, 8, Vec::new()), segment(3, 20, Vec::new())]);
    let first_id = create(&store, "first", &first).await;
    let second_id = create(&store, "second", &second).await;
    let mut all_fidelity = metrics(1);
    all_fidelity.fidelity = vec![fidelity(0, 4.0)];
    for number in 1..=4 {
        let events = [started("here"), Event::Epoch(all_fidelity.clone()), note("kept")];
        store.record(&key(number), &events, 10).await.unwrap();
    }
    let shared = store.facts(&second).await.unwrap()[&key(2)].clone();

    let mut expected = vec![key(1), key(4)];
    expected.sort();
    assert_eq!(store.delete_study(&first_id).await.unwrap(), expected);

    assert_eq!(store.study(&first_id).await.unwrap(), None);
    let left = store.facts(&first).await.unwrap();
    assert_eq!(left.keys().collect::<Vec<_>>(), [&key(2)], "only the shared segment is known");
    assert_eq!(left[&key(2)], shared);
    assert_eq!(store.offset(&key(1)).await.unwrap(), 0);
    let mut keys = vec![key(2), key(3)];
    keys.sort();
    assert_eq!(store.delete_study(&second_id).await.unwrap(), keys);
    assert!(store.facts(&second).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_address_of_a_deleted_study_leads_nowhere() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    let deleted = create(&store, "deleted", &plan).await;
    store.delete_study(&deleted).await.unwrap();
    let next = create(&store, "next", &plan).await;
    assert_ne!(deleted, next);
    assert_eq!(store.study(&deleted).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_in_two_studies_is_found_in_the_newest_that_is_left() {
    let (_folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new()), segment(2, 20, Vec::new())]);
    let older = create(&store, "older", &plan).await;
    let newer = create(&store, "newer", &plan).await;
    let run = &plan.runs[1];

    let (found, found_run) = store.run(&run.id).await.unwrap().unwrap();
    assert_eq!((found.id, &found_run), (newer, run));
    store.delete_study(&newer).await.unwrap();
    let (found, found_run) = store.run(&run.id).await.unwrap().unwrap();
    assert_eq!((found.id, &found_run), (older, run));
    store.delete_study(&older).await.unwrap();
    assert_eq!(store.run(&run.id).await.unwrap(), None);
}

/// The planner's own plans: what one study trained is known to the next that shares it.
#[tokio::test]
async fn a_study_that_shares_segments_finds_them_trained() {
    let (_folder, store) = empty_store().await;
    let planned = |kd_stop_epoch: &str| {
        let text = format!(
            "title = \"When should distillation stop?\"\ndataset = \"fashion-mnist-12k\"\nseeds = 3\n\
             [student]\narchitecture = \"wrn-10-1\"\nepochs = 20\n\
             [teacher]\narchitecture = \"wrn-16-2\"\nepochs = 20\n\
             [treatment]\nkd_stop_epoch = {kd_stop_epoch}\nteacher_stop_epoch = [8, 20]\n"
        );
        let study = Study::from_toml(&text).expect("a study");
        let plan = Plan::new(&study, &dataset(), Numerics::CpuF32).expect("a plan");
        (study, plan)
    };
    let (study, plan) = planned("[0, 8, 20]");
    assert_eq!((plan.runs.len(), plan.segments.len(), plan.epochs), (15, 16, 272));
    let id = store.create_study(&study, &plan, &dataset(), 100).await.unwrap();
    assert_eq!(store.study(&id).await.unwrap().map(|stored| (stored.study, stored.plan)), Some((study, plan.clone())));
    let (found, run) = store.run(&plan.runs[14].id).await.unwrap().unwrap();
    assert_eq!((found.id, &run), (id, &plan.runs[14]));
    for segment in &plan.segments {
        store.record(&segment.key, &[Event::Epoch(metrics(1))], 1).await.unwrap();
    }

    let (more, more_plan) = planned("[0, 4, 8, 20]");
    let known = store.facts(&more_plan).await.unwrap();
    assert_eq!(known.len(), 16, "adding an arm changes no key");
    store.create_study(&more, &more_plan, &dataset(), 200).await.unwrap();
    let known = store.facts(&more_plan).await.unwrap();
    assert_eq!(known.len(), more_plan.segments.len());
    assert_eq!(known.values().filter(|facts| !facts.metrics.is_empty()).count(), 16);
    let new: Vec<_> = store.delete_study(&id).await.unwrap();
    assert_eq!(new, [], "the wider study uses every segment of the first");
}
