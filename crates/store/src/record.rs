//! What workers tell, written down. A worker that begins again may say a thing twice: the index comes out the same.

use crate::{Store, StoreError, cosines, studies::row_number};
use sqlx::SqliteConnection;
use study::{CheckpointFile, Epoch, EpochMetrics, Event, Failure, Fidelity, Kept, Provenance, Scores, SegmentKey};

impl Store {
    /// Writes down what a segment's worker told, all of it or nothing. `offset`: bytes of `events.jsonl` read up to and
    /// including the last of `events`; kept with them, so that nothing is skipped after a crash.
    ///
    /// A later line of an epoch replaces its numbers and adds to its scores: a test, clean-pass or fidelity score that is known
    /// stays where the later line lacks it.
    pub async fn record(&self, key: &SegmentKey, events: &[Event], offset: u64) -> Result<(), StoreError> {
        for event in events {
            if let Event::Epoch(metrics) = event
                && let Some(metric) = not_a_number(metrics)
            {
                return Err(StoreError::NotANumber { segment: key.clone(), epoch: metrics.epoch, metric });
            }
        }
        let offset = row_number(offset);
        let mut transaction = self.begin().await?;
        let segment =
            sqlx::query!(r#"update segment set events_offset = ? where key = ? returning id as "id!""#, offset, key.0)
                .fetch_optional(&mut *transaction)
                .await?
                .ok_or_else(|| StoreError::UnknownSegment(key.clone()))?
                .id;
        for event in events {
            record_event(&mut transaction, segment, event).await?;
        }
        let writing = self.lately.write(std::slice::from_ref(key));
        transaction.commit().await?;
        drop(writing);
        if !events.is_empty() {
            self.changed();
        }
        Ok(())
    }

    /// Bytes of the segment's `events.jsonl` that are recorded; 0 for a segment nobody knows.
    pub async fn offset(&self, key: &SegmentKey) -> Result<u64, StoreError> {
        let row = sqlx::query!("select events_offset from segment where key = ?", key.0)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.map_or(0, |row| row.events_offset.unsigned_abs()))
    }
}

async fn record_event(connection: &mut SqliteConnection, segment: i64, event: &Event) -> Result<(), StoreError> {
    match event {
        Event::Started { provenance, .. } => {
            clear_failure(connection, segment).await?;
            record_provenance(connection, segment, provenance).await
        }
        Event::Epoch(metrics) => {
            record_epoch(connection, segment, metrics).await?;
            for fidelity in &metrics.fidelity {
                record_observer(connection, fidelity).await?;
                record_fidelity(connection, segment, metrics.epoch, fidelity).await?;
                if fidelity.kd_loss_test.is_some() || fidelity.agreement_test.is_some() {
                    record_test_fidelity(connection, segment, metrics.epoch, fidelity).await?;
                }
            }
            Ok(())
        }
        Event::Checkpoint(file) => record_checkpoint(connection, segment, file).await,
        Event::Pruned { epochs } => {
            for epoch in epochs {
                forget_checkpoint(connection, segment, epoch.0).await?;
            }
            Ok(())
        }
        Event::Note { message } => record_note(connection, segment, message).await,
        Event::Failed(failure) => record_failure(connection, segment, failure).await,
        // Derived from checkpoints, and from who works.
        Event::Finished { .. } | Event::Left { .. } => Ok(()),
    }
}

async fn clear_failure(connection: &mut SqliteConnection, segment: i64) -> Result<(), StoreError> {
    sqlx::query!("delete from failure where segment = ?", segment).execute(connection).await?;
    Ok(())
}

async fn record_failure(connection: &mut SqliteConnection, segment: i64, failure: &Failure) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into failure (segment, epoch, reason, may_succeed_again) values (?, ?, ?, ?)
         on conflict (segment) do update set
             epoch = excluded.epoch, reason = excluded.reason, may_succeed_again = excluded.may_succeed_again",
        segment,
        failure.epoch.0,
        failure.reason,
        failure.may_succeed_again
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record_provenance(
    connection: &mut SqliteConnection,
    segment: i64,
    provenance: &Provenance,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into provenance
             (segment, version, training_version, host, instruction_set, threads, device, data_checksum)
         values (?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (segment) do update set
             version = excluded.version, training_version = excluded.training_version, host = excluded.host,
             instruction_set = excluded.instruction_set, threads = excluded.threads, device = excluded.device,
             data_checksum = excluded.data_checksum",
        segment,
        provenance.version,
        provenance.training_version,
        provenance.host,
        provenance.instruction_set,
        provenance.threads,
        provenance.device,
        provenance.data_checksum
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record_epoch(
    connection: &mut SqliteConnection,
    segment: i64,
    metrics: &EpochMetrics,
) -> Result<(), StoreError> {
    let (train_clean_cross_entropy, train_clean_accuracy, _) = columns(metrics.train_clean);
    let (validation_cross_entropy, validation_accuracy, validation_calibration_error) = columns(metrics.validation);
    let (test_cross_entropy, test_accuracy, test_calibration_error) = columns(metrics.test);
    sqlx::query!(
        "insert into epoch
             (segment, epoch, learning_rate, train_cross_entropy, train_accuracy,
              train_clean_cross_entropy, train_clean_accuracy, validation_cross_entropy, validation_accuracy,
              test_cross_entropy, test_accuracy, seconds, images_per_second,
              validation_calibration_error, test_calibration_error)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (segment, epoch) do update set
             learning_rate = excluded.learning_rate,
             train_cross_entropy = excluded.train_cross_entropy,
             train_accuracy = excluded.train_accuracy,
             train_clean_cross_entropy = coalesce(excluded.train_clean_cross_entropy, train_clean_cross_entropy),
             train_clean_accuracy = coalesce(excluded.train_clean_accuracy, train_clean_accuracy),
             validation_cross_entropy = coalesce(excluded.validation_cross_entropy, validation_cross_entropy),
             validation_accuracy = coalesce(excluded.validation_accuracy, validation_accuracy),
             test_cross_entropy = coalesce(excluded.test_cross_entropy, test_cross_entropy),
             test_accuracy = coalesce(excluded.test_accuracy, test_accuracy),
             seconds = excluded.seconds,
             images_per_second = excluded.images_per_second,
             validation_calibration_error =
                 coalesce(excluded.validation_calibration_error, validation_calibration_error),
             test_calibration_error = coalesce(excluded.test_calibration_error, test_calibration_error)",
        segment,
        metrics.epoch.0,
        metrics.learning_rate,
        metrics.train.cross_entropy,
        metrics.train.accuracy,
        train_clean_cross_entropy,
        train_clean_accuracy,
        validation_cross_entropy,
        validation_accuracy,
        test_cross_entropy,
        test_accuracy,
        metrics.seconds,
        metrics.images_per_second,
        validation_calibration_error,
        test_calibration_error
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Cross-entropy, accuracy, and calibration error in steps.
fn columns(scores: Option<Scores>) -> (Option<f64>, Option<f64>, Option<i64>) {
    let steps = |error: f64| (error * Scores::CALIBRATION_STEPS).round() as i64;
    scores.map_or((None, None, None), |it| (Some(it.cross_entropy), Some(it.accuracy), it.calibration_error.map(steps)))
}

async fn record_observer(connection: &mut SqliteConnection, fidelity: &Fidelity) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into observer (teacher_segment, teacher_epoch, temperature) values (?, ?, ?) on conflict do nothing",
        fidelity.teacher.segment.0,
        fidelity.teacher.epoch.0,
        fidelity.temperature
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record_fidelity(
    connection: &mut SqliteConnection,
    segment: i64,
    epoch: Epoch,
    fidelity: &Fidelity,
) -> Result<(), StoreError> {
    let gradient_cosine = fidelity.gradient_cosine.as_ref().map(cosines::bytes);
    sqlx::query!(
        "insert into fidelity
             (segment, epoch, observer, kd_loss_train, kd_loss_validation, agreement_train, agreement_validation,
              gradient_cosine)
         select ?, ?, observer.id, ?, ?, ?, ?, ? from observer
         where observer.teacher_segment = ? and observer.teacher_epoch = ? and observer.temperature = ?
         on conflict (segment, epoch, observer) do update set
             kd_loss_train = coalesce(excluded.kd_loss_train, kd_loss_train),
             kd_loss_validation = coalesce(excluded.kd_loss_validation, kd_loss_validation),
             agreement_train = coalesce(excluded.agreement_train, agreement_train),
             agreement_validation = coalesce(excluded.agreement_validation, agreement_validation),
             gradient_cosine = coalesce(excluded.gradient_cosine, gradient_cosine)",
        segment,
        epoch.0,
        fidelity.kd_loss_train,
        fidelity.kd_loss_validation,
        fidelity.agreement_train,
        fidelity.agreement_validation,
        gradient_cosine,
        fidelity.teacher.segment.0,
        fidelity.teacher.epoch.0,
        fidelity.temperature
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record_test_fidelity(
    connection: &mut SqliteConnection,
    segment: i64,
    epoch: Epoch,
    fidelity: &Fidelity,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into test_fidelity (segment, epoch, observer, kd_loss, agreement)
         select ?, ?, observer.id, ?, ? from observer
         where observer.teacher_segment = ? and observer.teacher_epoch = ? and observer.temperature = ?
         on conflict (segment, epoch, observer) do update set
             kd_loss = coalesce(excluded.kd_loss, kd_loss), agreement = coalesce(excluded.agreement, agreement)",
        segment,
        epoch.0,
        fidelity.kd_loss_test,
        fidelity.agreement_test,
        fidelity.teacher.segment.0,
        fidelity.teacher.epoch.0,
        fidelity.temperature
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn record_checkpoint(
    connection: &mut SqliteConnection,
    segment: i64,
    file: &CheckpointFile,
) -> Result<(), StoreError> {
    let kept = match file.kept {
        Kept::Stop => "stop",
        Kept::Best => "best",
        Kept::Latest => "latest",
    };
    let bytes = i64::try_from(file.bytes).unwrap_or(i64::MAX);
    sqlx::query!(
        "insert into checkpoint (segment, epoch, kept, digest, bytes) values (?, ?, ?, ?, ?)
         on conflict (segment, epoch) do update set
             kept = excluded.kept, digest = excluded.digest, bytes = excluded.bytes",
        segment,
        file.epoch.0,
        kept,
        file.digest,
        bytes
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn forget_checkpoint(connection: &mut SqliteConnection, segment: i64, epoch: u32) -> Result<(), StoreError> {
    sqlx::query!("delete from checkpoint where segment = ? and epoch = ?", segment, epoch).execute(connection).await?;
    Ok(())
}

async fn record_note(connection: &mut SqliteConnection, segment: i64, message: &str) -> Result<(), StoreError> {
    sqlx::query!("insert into note (segment, message) values (?, ?) on conflict do nothing", segment, message)
        .execute(connection)
        .await?;
    Ok(())
}

/// The first metric that is NaN, which SQLite would keep as "absent". Infinities are kept as they are.
fn not_a_number(metrics: &EpochMetrics) -> Option<&'static str> {
    let scores = [
        ("training cross-entropy, accuracy or calibration error", Some(metrics.train)),
        ("clean training cross-entropy, accuracy or calibration error", metrics.train_clean),
        ("validation cross-entropy, accuracy or calibration error", metrics.validation),
        ("test cross-entropy, accuracy or calibration error", metrics.test),
    ]
    .into_iter()
    .filter_map(|(name, scores)| scores.map(|scores| (name, scores)))
    .flat_map(|(name, it)| [it.cross_entropy, it.accuracy, it.calibration_error.unwrap_or(0.0)].map(|it| (name, it)));
    let fidelity = metrics.fidelity.iter().flat_map(|fidelity| {
        [
            ("temperature", Some(fidelity.temperature)),
            ("KD loss on training images", fidelity.kd_loss_train),
            ("KD loss on validation images", fidelity.kd_loss_validation),
            ("KD loss on test images", fidelity.kd_loss_test),
            ("agreement on training images", fidelity.agreement_train),
            ("agreement on validation images", fidelity.agreement_validation),
            ("agreement on test images", fidelity.agreement_test),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    });
    [
        ("learning rate", metrics.learning_rate),
        ("seconds", metrics.seconds),
        ("images per second", metrics.images_per_second),
    ]
    .into_iter()
    .chain(scores)
    .chain(fidelity)
    .find(|(_, value)| value.is_nan())
    .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn on_a_full_disk_nothing_is_half_written_and_reading_goes_on() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let store = Store::open(folder.path()).await.expect("a store");
        let key = SegmentKey("5".repeat(32));
        sqlx::query("insert into segment (key) values (?)").bind(&key.0).execute(&store.writer).await.expect("a row");
        let note = |length| Event::Note { message: "n".repeat(length) };
        store.record(&key, &[note(1)], 1).await.expect("there is room");

        // SQLite answers as it does for a disk without room.
        sqlx::query("pragma max_page_count = 1").execute(&store.writer).await.expect("a limit");
        let refused = store.record(&key, &[note(2), note(1_000_000)], 2).await;
        assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");
        assert_eq!(store.offset(&key).await.expect("reading goes on"), 1);
        let notes = sqlx::query("select id from note").fetch_all(&store.readers).await.expect("reading goes on");
        assert_eq!(notes.len(), 1);

        // The limit was the connection's, and that connection is gone.
        store.record(&key, &[note(2), note(1_000_000)], 2).await.expect("there is room again");
        assert_eq!(store.offset(&key).await.expect("an offset"), 2);
    }
}
