use crate::examples::*;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use store::{Store, StoreError};
use study::{Event, Kept, Scores};

#[tokio::test]
async fn reopening_keeps_everything() {
    let (folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    let study = create(&store, "kept", &plan).await;
    let events = [started("here"), Event::Epoch(metrics(1)), Event::Checkpoint(checkpoint(1, Kept::Stop)), note("n")];
    store.record(&key(1), &events, 99).await.unwrap();
    store.create_share(&[1; 32], &study, &snapshot("kept"), 100, None).await.unwrap();
    let (studies, facts) = (store.studies().await.unwrap(), store.facts(&plan).await.unwrap());
    let shares = store.shares().await.unwrap();
    store.close().await;

    let reopened = Store::open(folder.path()).await.unwrap();
    assert_eq!(reopened.studies().await.unwrap(), studies);
    assert_eq!(reopened.facts(&plan).await.unwrap(), facts);
    assert_eq!(reopened.shares().await.unwrap(), shares);
    assert_eq!(reopened.offset(&key(1)).await.unwrap(), 99);
}

/// The process dies: nothing is closed, and the log beside the database is all that is left of the last commits.
#[tokio::test]
async fn what_was_acknowledged_is_there_without_closing() {
    let (folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "killed", &plan).await;
    store.record(&key(1), &[Event::Epoch(metrics(1))], 99).await.unwrap();

    let copy = tempfile::TempDir::new().unwrap();
    for name in ["stillroom.db", "stillroom.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let recovered = Store::open(copy.path()).await.unwrap();
    assert_eq!(*recovered.facts(&plan).await.unwrap()[&key(1)].metrics, [metrics(1)]);
    assert_eq!(recovered.offset(&key(1)).await.unwrap(), 99);
}

#[tokio::test]
async fn the_folder_is_made_where_it_is_missing() {
    let folder = tempfile::TempDir::new().unwrap();
    let deep = folder.path().join("not/yet here");
    Store::open(&deep).await.unwrap();
    assert!(deep.join(Store::FILE).is_file());
}

#[tokio::test]
async fn two_that_write_at_once_wait_for_each_other() {
    let (folder, store) = empty_store().await;
    let other = Store::open(folder.path()).await.unwrap();
    let plan = plan((0..20).map(|number| segment(number, 20, Vec::new())).collect());
    create(&store, "two", &plan).await;
    let write = |store: Store, from: u32| async move {
        for number in from..from + 10 {
            store.record(&key(number), &[Event::Epoch(metrics(1))], 1).await.unwrap();
        }
    };
    tokio::join!(write(store.clone(), 0), write(other.clone(), 10));
    let facts = store.facts(&plan).await.unwrap();
    assert_eq!(facts.values().filter(|facts| *facts.metrics == [metrics(1)]).count(), 20);
    assert_eq!(other.facts(&plan).await.unwrap(), facts);
}

#[tokio::test]
async fn foreign_keys_hold_and_only_the_writer_writes() {
    let (folder, store) = empty_store().await;
    create(&store, "keys", &plan(vec![segment(1, 20, Vec::new())])).await;
    let mut connection = SqliteConnectOptions::new().filename(folder.path().join(Store::FILE)).connect().await.unwrap();
    let dangling = sqlx::query("select * from pragma_foreign_key_check").fetch_all(&mut connection).await.unwrap();
    assert!(dangling.is_empty());
    let refused =
        sqlx::query("insert into epoch (segment, epoch, learning_rate, train_cross_entropy, train_accuracy, seconds, images_per_second) values (99, 1, 1, 1, 1, 1, 1)").execute(&mut connection).await;
    assert!(refused.unwrap_err().to_string().contains("FOREIGN KEY"));
    let refused = sqlx::query("delete from segment").execute(&mut connection).await;
    assert!(refused.unwrap_err().to_string().contains("FOREIGN KEY"));
    let refused = sqlx::query("insert into segment (key) values (x'00')").execute(&mut connection).await;
    assert!(refused.unwrap_err().to_string().contains("cannot store BLOB"), "tables are strict");
}

/// What was measured before calibration and conflicts were is read on, and may be told again with them.
#[tokio::test]
async fn a_database_of_the_first_migration_is_brought_to_this_version() {
    let folder = tempfile::TempDir::new().unwrap();
    let options = SqliteConnectOptions::new().filename(folder.path().join(Store::FILE)).create_if_missing(true);
    let mut connection = options.clone().connect().await.unwrap();
    let mut first = sqlx::migrate!("../../migrations");
    first.migrations = first.migrations.iter().filter(|it| it.version == 1).cloned().collect::<Vec<_>>().into();
    first.run(&mut connection).await.unwrap();
    for (statement, key) in [
        ("insert into segment (id, key) values (7, ?)", Some(key(1))),
        ("insert into epoch values (7, 1, 0.1, 2.0, 0.5, null, null, 1.0, 0.6, 1.5, 0.75, 3.0, 9.0)", None),
        ("insert into observer values (1, ?, 20, 4.0)", Some(teacher(0).segment)),
        ("insert into fidelity values (7, 1, 1, 0.5, 0.25, 0.75, 0.5)", None),
    ] {
        let query = key.into_iter().fold(sqlx::query(statement), |query, key| query.bind(key.0));
        query.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let store = Store::open(folder.path()).await.unwrap();
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    create(&store, "old", &plan).await;
    let read = async || store.facts(&plan).await.unwrap()[&key(1)].metrics[0].clone();
    let old = read().await;
    let test = old.test.unwrap();
    assert_eq!((test.accuracy, test.calibration_error), (0.75, None));
    let fidelity = &old.fidelity[0];
    assert_eq!((fidelity.kd_loss_validation, fidelity.kd_loss_test), (Some(0.25), None));
    assert_eq!(fidelity.gradient_cosine, None);

    let mut told = old.clone();
    told.test = Some(Scores { calibration_error: Some(0.125), ..test });
    told.fidelity[0].kd_loss_test = Some(0.5);
    store.record(&key(1), &[Event::Epoch(told.clone())], 1).await.unwrap();
    assert_eq!(read().await, told);
    store.close().await;

    let mut connection = options.connect().await.unwrap();
    for (statement, constraint) in [
        ("update epoch set test_accuracy = null, test_cross_entropy = null", "epoch_test_is_scored"),
        ("update fidelity set gradient_cosine = x'00'", "fidelity_gradient_cosine_is_whole"),
        ("update fidelity set gradient_cosine = x''", "fidelity_gradient_cosine_is_whole"),
        ("update fidelity set gradient_cosine = 0.5", "cannot store REAL"),
        ("update test_fidelity set observer = 2", "FOREIGN KEY"),
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.unwrap_err().to_string();
        assert!(refused.contains(constraint), "{statement}: {refused}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let (folder, store) = empty_store().await;
    store.close().await;
    let mut connection = SqliteConnectOptions::new().filename(folder.path().join(Store::FILE)).connect().await.unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let refused = Store::open(folder.path()).await;
    assert!(matches!(refused, Err(StoreError::Newer { migration: 9999, .. })), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_database_is_said_and_left_alone() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join(Store::FILE);
    std::fs::write(&path, "This is a letter, and longer than a database's header of one hundred bytes. ".repeat(9))
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(folder.path()).await;
    assert!(matches!(refused, Err(StoreError::Open { .. } | StoreError::Migration { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn what_is_opened_to_be_read_makes_and_changes_nothing() {
    let nothing = tempfile::TempDir::new().unwrap();
    let missing = Store::open_read_only(nothing.path()).await.unwrap_err();
    assert!(matches!(&missing, StoreError::Missing { .. }) && missing.to_string().contains("--data-dir"), "{missing}");
    assert_eq!(std::fs::read_dir(nothing.path()).unwrap().count(), 0);

    let (folder, store) = empty_store().await;
    let plan = plan(vec![segment(1, 20, Vec::new())]);
    let study = create(&store, "read", &plan).await;
    // Beside the one that writes, and after it.
    for closed in [false, true] {
        if closed {
            store.close().await;
        }
        let reader = Store::open_read_only(folder.path()).await.unwrap();
        assert_eq!(reader.studies().await.unwrap().len(), 1);
        assert!(reader.stop_study(&study, 1).await.is_err());
        reader.close().await;
    }

    let options = SqliteConnectOptions::new().filename(folder.path().join(Store::FILE));
    for (statement, newer) in [
        (
            "update _sqlx_migrations set version = version + 1000000 where version = (select max(version) from _sqlx_migrations)",
            true,
        ),
        ("delete from _sqlx_migrations", false),
    ] {
        let mut connection = options.clone().connect().await.unwrap();
        sqlx::query(statement).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let refused = Store::open_read_only(folder.path()).await.unwrap_err();
        match refused {
            StoreError::Newer { .. } => assert!(newer),
            StoreError::Older { .. } => assert!(!newer),
            other => panic!("{other}"),
        }
    }
}
