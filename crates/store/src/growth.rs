//! Seeds that come to a study after it began.

use crate::{
    Store, StoreError,
    studies::{record_plan, row_number},
    write_json,
};
use study::{Plan, SeedAddition, Study, StudyId};

impl Store {
    /// Gives a study more seeds and the plan with them, notes that they were `added`, and lets it go on. Whether it was there with as many
    /// seeds as before: of two who ask at once, one is refused.
    pub async fn add_seeds(
        &self,
        id: &StudyId,
        study: &Study,
        plan: &Plan,
        added: &SeedAddition,
    ) -> Result<bool, StoreError> {
        let number = row_number(id.0);
        let spec = write_json(study, "the study")?;
        let planned = write_json(plan, "the plan")?;
        let mut transaction = self.begin().await?;
        let found = sqlx::query!(
            "update study set spec = ?, plan = ?, stopped_at = null where id = ? and json_extract(spec, '$.seeds') = ?",
            spec,
            planned,
            number,
            added.seeds_before
        )
        .execute(&mut *transaction)
        .await?
        .rows_affected()
            > 0;
        if !found {
            transaction.rollback().await?;
            return Ok(false);
        }
        record_plan(&mut transaction, number, plan).await?;
        sqlx::query!(
            "insert into seed_addition (study, seeds_before, seeds_after, added_at, runs_seen) values (?, ?, ?, ?, ?)",
            number,
            added.seeds_before,
            added.seeds_after,
            added.added_at,
            added.runs_seen
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.changed();
        Ok(true)
    }

    /// What was added to a study after it began, in the order in which it was.
    pub async fn seed_additions(&self, id: &StudyId) -> Result<Vec<SeedAddition>, StoreError> {
        let number = row_number(id.0);
        let rows = sqlx::query!(
            r#"select seeds_before as "seeds_before: u32", seeds_after as "seeds_after: u32", added_at,
                      runs_seen as "runs_seen: u32"
               from seed_addition where study = ? order by seeds_before"#,
            number
        )
        .fetch_all(&self.readers)
        .await?;
        let addition = rows.into_iter().map(|row| SeedAddition {
            seeds_before: row.seeds_before,
            seeds_after: row.seeds_after,
            added_at: row.added_at,
            runs_seen: row.runs_seen,
        });
        Ok(addition.collect())
    }
}
