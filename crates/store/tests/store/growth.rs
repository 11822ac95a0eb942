use crate::examples::*;
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use store::{GoingOn, Store};
use study::{Event, Kept, Plan, SeedAddition, Study, StudyId};

/// [`examples::study`] has three seeds.
fn grown(seeds: u32) -> Study {
    Study { seeds, ..study("grows") }
}

fn addition(seeds_before: u32, seeds_after: u32) -> SeedAddition {
    SeedAddition {
        seeds_before,
        seeds_after,
        added_at: 1_800_000_000 + i64::from(seeds_after),
        runs_seen: seeds_before,
    }
}

fn planned(numbers: &[u32]) -> Plan {
    plan(numbers.iter().map(|number| segment(*number, 20, Vec::new())).collect())
}

#[tokio::test]
async fn a_study_that_gets_seeds_keeps_what_it_found_and_goes_on() {
    let (folder, store) = empty_store().await;
    let (before, after) = (planned(&[1, 2]), planned(&[1, 3, 2, 4]));
    let id = create(&store, "grows", &before).await;
    let other = create(&store, "other", &planned(&[9])).await;
    for segment in &before.segments {
        let events = [started("here"), Event::Epoch(metrics(1)), Event::Checkpoint(checkpoint(1, Kept::Stop))];
        store.record(&segment.key, &events, 77).await.unwrap();
    }
    let found = store.facts(&before).await.unwrap();
    store.stop_study(&id, 50).await.unwrap();
    assert_eq!(store.seed_additions(&id).await.unwrap(), []);

    let mut changes = store.changes();
    changes.borrow_and_update();
    assert!(store.add_seeds(&id, &grown(5), &after, &addition(3, 5)).await.unwrap());
    assert!(changes.has_changed().unwrap(), "whoever follows looks again");

    let stored = store.study(&id).await.unwrap().unwrap();
    assert_eq!((stored.study, &stored.plan, stored.stopped_at), (grown(5), &after, None));
    assert_eq!((stored.created_at, stored.dataset), (1_700_000_000, dataset()));
    assert_eq!(store.seed_additions(&id).await.unwrap(), [addition(3, 5)]);
    assert_eq!(store.seed_additions(&other).await.unwrap(), []);
    let going_on = store.going_on().await.unwrap();
    let of = |id: &StudyId| going_on[id];
    assert_eq!(of(&id), GoingOn { goes_on: true, seed_additions: 1 });
    assert_eq!(of(&other), GoingOn { goes_on: true, seed_additions: 0 });

    let facts = store.facts(&after).await.unwrap();
    assert_eq!(facts.len(), 4, "the new ones are known, and nothing of them yet");
    assert!(found.iter().all(|(key, known)| facts[key] == *known));
    assert_eq!(store.offset(&key(1)).await.unwrap(), 77);
    for run in &after.runs {
        let (found, found_run) = store.run(&run.id).await.unwrap().unwrap();
        assert_eq!((found.id, &found_run), (id, run));
    }
    assert_eq!(
        positions(folder.path(), &id).await,
        after.segments.iter().map(|it| it.key.0.clone()).collect::<Vec<_>>()
    );

    assert!(store.add_seeds(&id, &grown(6), &after, &addition(5, 6)).await.unwrap());
    assert_eq!(store.seed_additions(&id).await.unwrap(), [addition(3, 5), addition(5, 6)]);
}

/// A study's segments as they stand in its plan.
async fn positions(folder: &std::path::Path, id: &StudyId) -> Vec<String> {
    let mut connection = SqliteConnectOptions::new().filename(folder.join(Store::FILE)).connect().await.unwrap();
    sqlx::query_scalar(
        "select key from study_segment join segment on segment.id = study_segment.segment where study = ? order by position",
    )
    .bind(id.0 as i64)
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

#[tokio::test]
async fn of_two_who_add_seeds_at_once_one_is_refused_and_changes_nothing() {
    let (_folder, store) = empty_store().await;
    let id = create(&store, "grows", &planned(&[1])).await;
    let (two, four) = (planned(&[1, 2, 3]), planned(&[1, 2, 3, 4, 5]));
    let (two_more, four_more) = (grown(5), grown(7));
    let (to_five, to_seven) = (addition(3, 5), addition(3, 7));
    let (one, other) = tokio::join!(
        store.add_seeds(&id, &two_more, &two, &to_five),
        store.add_seeds(&id, &four_more, &four, &to_seven),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one != other, "both or none: {one}");
    let stored = store.study(&id).await.unwrap().unwrap();
    let expected = if one { (two_more, two, addition(3, 5)) } else { (four_more, four, addition(3, 7)) };
    assert_eq!((stored.study, stored.plan), (expected.0, expected.1.clone()));
    assert_eq!(store.seed_additions(&id).await.unwrap(), [expected.2]);
    assert_eq!(store.facts(&planned(&[1, 2, 3, 4, 5])).await.unwrap().len(), expected.1.segments.len());
}

#[tokio::test]
async fn with_a_study_go_the_seeds_that_were_added_to_it() {
    let (_folder, store) = empty_store().await;
    let id = create(&store, "grows", &planned(&[1])).await;
    let after = planned(&[1, 2]);
    assert!(store.add_seeds(&id, &grown(5), &after, &addition(3, 5)).await.unwrap());
    let mut expected = vec![key(1), key(2)];
    expected.sort();
    assert_eq!(store.delete_study(&id).await.unwrap(), expected);
    assert_eq!(store.seed_additions(&id).await.unwrap(), []);
    for id in [0, 1, i64::MAX as u64 + 1, u64::MAX].map(StudyId) {
        assert!(!store.add_seeds(&id, &grown(5), &after, &addition(3, 5)).await.unwrap());
        assert_eq!(store.seed_additions(&id).await.unwrap(), []);
    }
    assert!(store.facts(&after).await.unwrap().is_empty(), "nothing was begun for a study that is not there");
}
