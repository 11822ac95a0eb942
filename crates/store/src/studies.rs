//! Studies and their plans.

use crate::{Store, StoreError, read_json, write_json};
use sqlx::SqliteConnection;
use std::collections::BTreeMap;
use study::{DatasetFacts, Plan, Run, RunId, SegmentKey, Study, StudyId};

/// A study as it was started, or as it grew. The plan is the one made then: a later program that would plan it differently loses no
/// result.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredStudy {
    pub id: StudyId,
    /// Seconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// When a person asked for it to stop; `None` while it goes on.
    pub stopped_at: Option<i64>,
    pub study: Study,
    pub plan: Plan,
    pub dataset: DatasetFacts,
}

/// What tells, without a study's plan, whether something else is to be trained for it than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoingOn {
    /// Nobody stopped it.
    pub goes_on: bool,
    /// How often seeds were added to it: each time its plan grew.
    pub seed_additions: u32,
}

impl Store {
    /// Starts a study. Segments that other studies brought are shared with them.
    pub async fn create_study(
        &self,
        study: &Study,
        plan: &Plan,
        dataset: &DatasetFacts,
        now: i64,
    ) -> Result<StudyId, StoreError> {
        let spec = write_json(study, "the study")?;
        let planned = write_json(plan, "the plan")?;
        let dataset = write_json(dataset, "the data set")?;

        let mut transaction = self.begin().await?;
        let id = sqlx::query!(
            r#"insert into study (created_at, spec, plan, dataset) values (?, ?, ?, ?) returning id as "id!""#,
            now,
            spec,
            planned,
            dataset
        )
        .fetch_one(&mut *transaction)
        .await?
        .id;
        record_plan(&mut transaction, id, plan).await?;
        transaction.commit().await?;
        self.changed();
        Ok(StudyId(id as u64))
    }

    /// Every study, newest first.
    pub async fn studies(&self) -> Result<Vec<StoredStudy>, StoreError> {
        sqlx::query!(r#"select id as "id!", created_at, stopped_at, spec, plan, dataset from study order by id desc"#)
            .fetch_all(&self.readers)
            .await?
            .into_iter()
            .map(|row| stored_study(row.id, row.created_at, row.stopped_at, &row.spec, &row.plan, &row.dataset))
            .collect()
    }

    /// Every study, and how it goes on. Without their plans, for whoever asks often.
    pub async fn going_on(&self) -> Result<BTreeMap<StudyId, GoingOn>, StoreError> {
        let rows = sqlx::query!(
            r#"select id as "id!", stopped_at,
                      (select count(*) from seed_addition where seed_addition.study = study.id) as "seed_additions!: u32"
               from study order by id"#
        )
        .fetch_all(&self.readers)
        .await?;
        let going_on = rows.into_iter().map(|row| {
            let it = GoingOn { goes_on: row.stopped_at.is_none(), seed_additions: row.seed_additions };
            (StudyId(row.id as u64), it)
        });
        Ok(going_on.collect())
    }

    /// The oldest study that goes on and has a worker now, on a segment that `id` does not ask for. `None`: no other has.
    pub async fn oldest_other_at_work(&self, id: &StudyId) -> Result<Option<StudyId>, StoreError> {
        let keys = write_json(&*self.working(), "the segments with workers")?;
        let number = row_number(id.0);
        let row = sqlx::query!(
            r#"select min(study.id) as "oldest?: i64" from study
               join study_segment on study_segment.study = study.id
               join segment on segment.id = study_segment.segment
               where study.stopped_at is null and segment.key in (select value from json_each(?))
               and segment.id not in (select segment from study_segment where study = ?)"#,
            keys,
            number
        )
        .fetch_one(&self.readers)
        .await?;
        Ok(row.oldest.map(|oldest| StudyId(oldest as u64)))
    }

    pub async fn study(&self, id: &StudyId) -> Result<Option<StoredStudy>, StoreError> {
        let number = row_number(id.0);
        sqlx::query!(
            r#"select id as "id!", created_at, stopped_at, spec, plan, dataset from study where id = ?"#,
            number
        )
        .fetch_optional(&self.readers)
        .await?
        .map(|row| stored_study(row.id, row.created_at, row.stopped_at, &row.spec, &row.plan, &row.dataset))
        .transpose()
    }

    /// A run, and the newest study that has it.
    pub async fn run(&self, id: &RunId) -> Result<Option<(StoredStudy, Run)>, StoreError> {
        let Some(row) = sqlx::query!(
            r#"select id as "id!", created_at, stopped_at, spec, plan, dataset
               from study_run join study on study.id = study_run.study
               where study_run.run = ? order by study.id desc limit 1"#,
            id.0
        )
        .fetch_optional(&self.readers)
        .await?
        else {
            return Ok(None);
        };
        let stored = stored_study(row.id, row.created_at, row.stopped_at, &row.spec, &row.plan, &row.dataset)?;
        Ok(stored.plan.runs.iter().find(|run| run.id == *id).cloned().map(|run| (stored, run)))
    }

    /// Notes that a person asked for the study to stop; one that is stopped keeps its first time. Whether there is such a study.
    pub async fn stop_study(&self, id: &StudyId, now: i64) -> Result<bool, StoreError> {
        let number = row_number(id.0);
        let found = sqlx::query!("update study set stopped_at = coalesce(stopped_at, ?) where id = ?", now, number)
            .execute(&self.writer)
            .await?
            .rows_affected()
            > 0;
        self.changed();
        Ok(found)
    }

    /// Lets the study go on, and forgets those failures of its segments after which trying again can help. Whether there is
    /// such a study.
    pub async fn resume_study(&self, id: &StudyId) -> Result<bool, StoreError> {
        let number = row_number(id.0);
        let mut transaction = self.begin().await?;
        let found = sqlx::query!("update study set stopped_at = null where id = ?", number)
            .execute(&mut *transaction)
            .await?
            .rows_affected()
            > 0;
        sqlx::query!(
            "delete from failure where may_succeed_again = 1
             and segment in (select segment from study_segment where study = ?)",
            number
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.changed();
        Ok(found)
    }

    /// Forgets a study, and every segment that no other study uses: their keys, in order, so that their folders can go too.
    /// Shared links stay. Empty where there is no such study.
    pub async fn delete_study(&self, id: &StudyId) -> Result<Vec<SegmentKey>, StoreError> {
        let number = row_number(id.0);
        let mut transaction = self.begin().await?;
        sqlx::query!("delete from study where id = ?", number).execute(&mut *transaction).await?;
        let mut unused: Vec<_> = sqlx::query!(
            "delete from segment where not exists
             (select 1 from study_segment where study_segment.segment = segment.id) returning key"
        )
        .fetch_all(&mut *transaction)
        .await?
        .into_iter()
        .map(|row| SegmentKey(row.key))
        .collect();
        let writing = self.lately.write(&unused);
        transaction.commit().await?;
        drop(writing);
        unused.sort();
        self.changed();
        Ok(unused)
    }
}

/// Says which segments and runs a study has by its plan. What it has already stays, each segment at its place in this plan: new ones may
/// stand between the old.
pub(crate) async fn record_plan(connection: &mut SqliteConnection, id: i64, plan: &Plan) -> Result<(), StoreError> {
    let segments =
        write_json(&plan.segments.iter().map(|segment| &segment.key).collect::<Vec<_>>(), "the plan's segments")?;
    let runs = write_json(&plan.runs.iter().map(|run| &run.id).collect::<Vec<_>>(), "the plan's runs")?;
    sqlx::query!(
        "insert into segment (key) select value from json_each(?) where true on conflict (key) do nothing",
        segments
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into study_segment (study, segment, position)
         select ?, segment.id, asked.key from json_each(?) as asked join segment on segment.key = asked.value where true
         on conflict (study, segment) do update set position = excluded.position",
        id,
        segments
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into study_run (run, study) select value, ? from json_each(?) where true on conflict do nothing",
        id,
        runs
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The row an id stands for. No row has a number beyond SQLite's, nor a negative one.
pub(crate) fn row_number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(-1)
}

fn stored_study(
    id: i64,
    created_at: i64,
    stopped_at: Option<i64>,
    spec: &str,
    plan: &str,
    dataset: &str,
) -> Result<StoredStudy, StoreError> {
    Ok(StoredStudy {
        id: StudyId(id as u64),
        created_at,
        stopped_at,
        study: read_json(spec, || format!("study {id}"))?,
        plan: read_json(plan, || format!("the plan of study {id}"))?,
        dataset: read_json(dataset, || format!("the data set of study {id}"))?,
    })
}
