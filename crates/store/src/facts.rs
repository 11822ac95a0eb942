//! What is known of segments, read back.

use crate::{Store, StoreError, cosines, write_json};
use futures::TryStreamExt;
use sqlx::SqliteConnection;
use std::collections::BTreeMap;
use study::{
    CheckpointFile, CheckpointId, Epoch, EpochMetrics, Facts, Failure, Fidelity, Kept, KnownEpochs, Observer, Plan,
    Provenance, Scores, SegmentFacts, SegmentKey,
};

/// Facts by the segment's row.
type FactsByRow = BTreeMap<i64, SegmentFacts>;
/// Epochs by the segment's row.
type EpochsByRow = BTreeMap<i64, Vec<EpochMetrics>>;

impl Store {
    /// Everything known of a plan's segments, all as of one moment: epochs and checkpoints rising, notes as they were said,
    /// fidelity by teacher and temperature. Segments that no study uses are absent, so a plan that was never started can be
    /// asked about too. The number of queries does not depend on the plan. Epochs are by far the most of it: only those of segments are
    /// read that nobody read since they were last written to.
    pub async fn facts(&self, plan: &Plan) -> Result<Facts, StoreError> {
        let keys: Vec<_> = plan.segments.iter().map(|segment| &segment.key).collect();
        let (moment, mut known) = self.lately.read(&keys);
        let keys = write_json(&keys, "the plan's segments")?;

        let mut snapshot = self.readers.begin().await?;
        let key_of_row = read_keys(&mut snapshot, &keys).await?;
        // From here on the database is seen as of one moment.
        self.lately.retain_unwritten(&mut known, moment);
        let is_unknown = |(_, key): &(&i64, &SegmentKey)| !known.contains_key(*key);
        let unknown: BTreeMap<&i64, &SegmentKey> = key_of_row.iter().filter(is_unknown).collect();
        let mut read = EpochsByRow::new();
        if !unknown.is_empty() {
            let keys = write_json(&unknown.values().collect::<Vec<_>>(), "the segments to be read")?;
            read_epochs(&mut snapshot, &keys, &mut read).await?;
            let observers = read_observers(&mut snapshot, &keys).await?;
            let on_test = read_test_fidelity(&mut snapshot, &keys).await?;
            read_fidelity(&mut snapshot, &keys, &observers, &on_test, &mut read).await?;
        }
        let found = unknown.into_iter().map(|(row, key)| (key.clone(), read.remove(row).unwrap_or_default().into()));
        let found: BTreeMap<SegmentKey, KnownEpochs> = found.collect();
        self.lately.keep(found.clone(), moment);
        known.extend(found);

        let of_row = |(row, key): (&i64, &SegmentKey)| {
            let metrics = known.remove(key).unwrap_or_default();
            (*row, SegmentFacts { metrics, ..SegmentFacts::default() })
        };
        let mut facts: FactsByRow = key_of_row.iter().map(of_row).collect();
        read_checkpoints(&mut snapshot, &keys, &mut facts).await?;
        read_failures(&mut snapshot, &keys, &mut facts).await?;
        read_provenance(&mut snapshot, &keys, &mut facts).await?;
        read_notes(&mut snapshot, &keys, &mut facts).await?;
        snapshot.rollback().await?;

        let working = self.working();
        let facts = facts.into_iter().filter_map(|(row, facts)| {
            let key = key_of_row.get(&row)?.clone();
            let working = working.contains(&key);
            Some((key, SegmentFacts { working, ..facts }))
        });
        Ok(facts.collect())
    }
}

async fn read_keys(connection: &mut SqliteConnection, keys: &str) -> Result<BTreeMap<i64, SegmentKey>, StoreError> {
    let rows = sqlx::query!(
        r#"select id as "id!", key from segment where key in (select value from json_each(?)) order by id"#,
        keys
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, SegmentKey(row.key))).collect())
}

// The two large tables are read row by row: all rows at once would be several times as large as what they say.

async fn read_epochs(connection: &mut SqliteConnection, keys: &str, read: &mut EpochsByRow) -> Result<(), StoreError> {
    let mut rows = sqlx::query!(
        r#"select segment, epoch as "epoch: u32", learning_rate, train_cross_entropy, train_accuracy,
                  train_clean_cross_entropy, train_clean_accuracy, validation_cross_entropy, validation_accuracy,
                  test_cross_entropy, test_accuracy, seconds, images_per_second,
                  validation_calibration_error, test_calibration_error
           from epoch where segment in (select id from segment where key in (select value from json_each(?)))
           order by segment, epoch"#,
        keys
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let metrics = EpochMetrics {
            epoch: Epoch(row.epoch),
            learning_rate: row.learning_rate,
            train: Scores {
                cross_entropy: row.train_cross_entropy,
                accuracy: row.train_accuracy,
                calibration_error: None,
            },
            train_clean: scores(row.train_clean_cross_entropy, row.train_clean_accuracy, None),
            validation: scores(row.validation_cross_entropy, row.validation_accuracy, row.validation_calibration_error),
            test: scores(row.test_cross_entropy, row.test_accuracy, row.test_calibration_error),
            fidelity: Vec::new(),
            seconds: row.seconds,
            images_per_second: row.images_per_second,
        };
        read.entry(row.segment).or_default().push(metrics);
    }
    Ok(())
}

/// The observers of these segments, by their row. Read apart: an epoch's row names its observer by a number, and a teacher's
/// key would otherwise be read once an epoch.
async fn read_observers(connection: &mut SqliteConnection, keys: &str) -> Result<BTreeMap<i64, Observer>, StoreError> {
    let rows = sqlx::query!(
        r#"select id as "id!", teacher_segment, teacher_epoch as "teacher_epoch: u32", temperature from observer
           where id in (
               select observer from fidelity
               where segment in (select id from segment where key in (select value from json_each(?)))
           )
           order by id"#,
        keys
    )
    .fetch_all(connection)
    .await?;
    let observer = |segment, epoch, temperature| Observer {
        teacher: CheckpointId { segment: SegmentKey(segment), epoch: Epoch(epoch) },
        temperature,
    };
    Ok(rows
        .into_iter()
        .map(|row| (row.id, observer(row.teacher_segment, row.teacher_epoch, row.temperature)))
        .collect())
}

/// KD loss and agreement on the test split, by segment's row, epoch and observer's row.
type OnTest = BTreeMap<(i64, i64, i64), (Option<f64>, Option<f64>)>;

async fn read_test_fidelity(connection: &mut SqliteConnection, keys: &str) -> Result<OnTest, StoreError> {
    let rows = sqlx::query!(
        "select segment, epoch, observer, kd_loss, agreement
         from test_fidelity where segment in (select id from segment where key in (select value from json_each(?)))
         order by segment, epoch, observer",
        keys
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.segment, row.epoch, row.observer), (row.kd_loss, row.agreement))).collect())
}

async fn read_fidelity(
    connection: &mut SqliteConnection,
    keys: &str,
    observers: &BTreeMap<i64, Observer>,
    on_test: &OnTest,
    read: &mut EpochsByRow,
) -> Result<(), StoreError> {
    let mut rows = sqlx::query!(
        "select segment, epoch, observer, kd_loss_train, kd_loss_validation, agreement_train, agreement_validation,
                gradient_cosine
         from fidelity where segment in (select id from segment where key in (select value from json_each(?)))
         order by segment, epoch, observer",
        keys
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (kd_loss_test, agreement_test) =
            on_test.get(&(row.segment, row.epoch, row.observer)).copied().unwrap_or_default();
        let epochs = read.entry(row.segment).or_default();
        let epoch = epochs.binary_search_by_key(&row.epoch, |metrics| i64::from(metrics.epoch.0)).ok();
        // Foreign keys promise both.
        if let (Some(epoch), Some(observer)) = (epoch, observers.get(&row.observer)) {
            // Most epochs are measured against one teacher: a vector's usual first room would be four times as large.
            epochs[epoch].fidelity.reserve_exact(1);
            epochs[epoch].fidelity.push(Fidelity {
                teacher: observer.teacher.clone(),
                temperature: observer.temperature,
                kd_loss_train: row.kd_loss_train,
                kd_loss_validation: row.kd_loss_validation,
                kd_loss_test,
                agreement_train: row.agreement_train,
                agreement_validation: row.agreement_validation,
                agreement_test,
                gradient_cosine: row.gradient_cosine.as_deref().and_then(cosines::read),
            });
        }
    }
    drop(rows);
    read.values_mut().for_each(Vec::shrink_to_fit);
    // Observers' rows are counted in the order in which they were first met, which no result may depend on.
    for metrics in read.values_mut().flatten() {
        metrics
            .fidelity
            .sort_by(|a, b| a.teacher.cmp(&b.teacher).then_with(|| a.temperature.total_cmp(&b.temperature)));
    }
    Ok(())
}

async fn read_checkpoints(
    connection: &mut SqliteConnection,
    keys: &str,
    facts: &mut FactsByRow,
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"select segment, epoch as "epoch: u32", kept, digest, bytes as "bytes: u64"
           from checkpoint where segment in (select id from segment where key in (select value from json_each(?)))
           order by segment, epoch"#,
        keys
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        let kept = match row.kept.as_str() {
            "stop" => Kept::Stop,
            "best" => Kept::Best,
            // The table holds no fourth word.
            _ => Kept::Latest,
        };
        let file = CheckpointFile { epoch: Epoch(row.epoch), kept, digest: row.digest, bytes: row.bytes };
        facts.entry(row.segment).or_default().checkpoints.push(file);
    }
    Ok(())
}

async fn read_failures(
    connection: &mut SqliteConnection,
    keys: &str,
    facts: &mut FactsByRow,
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"select segment as "segment!", epoch as "epoch: u32", reason, may_succeed_again as "may_succeed_again: bool"
           from failure where segment in (select id from segment where key in (select value from json_each(?)))
           order by segment"#,
        keys
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        facts.entry(row.segment).or_default().failure =
            Some(Failure { epoch: Epoch(row.epoch), reason: row.reason, may_succeed_again: row.may_succeed_again });
    }
    Ok(())
}

async fn read_provenance(
    connection: &mut SqliteConnection,
    keys: &str,
    facts: &mut FactsByRow,
) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        r#"select segment as "segment!", version, training_version as "training_version: u32", host, instruction_set,
                  threads as "threads: u32", device, data_checksum
           from provenance where segment in (select id from segment where key in (select value from json_each(?)))
           order by segment"#,
        keys
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        facts.entry(row.segment).or_default().provenance = Some(Provenance {
            version: row.version,
            training_version: row.training_version,
            host: row.host,
            instruction_set: row.instruction_set,
            threads: row.threads,
            device: row.device,
            data_checksum: row.data_checksum,
        });
    }
    Ok(())
}

async fn read_notes(connection: &mut SqliteConnection, keys: &str, facts: &mut FactsByRow) -> Result<(), StoreError> {
    let rows = sqlx::query!(
        "select segment, message
         from note where segment in (select id from segment where key in (select value from json_each(?)))
         order by segment, id",
        keys
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        facts.entry(row.segment).or_default().notes.push(row.message);
    }
    Ok(())
}

/// Cross-entropy and accuracy are both there or none, as the table promises.
fn scores(cross_entropy: Option<f64>, accuracy: Option<f64>, calibration_steps: Option<i64>) -> Option<Scores> {
    let calibration_error = calibration_steps.map(|steps| steps as f64 / Scores::CALIBRATION_STEPS);
    Some(Scores { cross_entropy: cross_entropy?, accuracy: accuracy?, calibration_error })
}
