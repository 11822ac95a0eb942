//! Frozen comparisons behind links.

use crate::{Store, StoreError, read_json, studies::row_number, write_json};
use study::{Share, ShareId, Snapshot, StudyId};

impl Store {
    /// Keeps a frozen comparison. The token itself is never stored: whoever reads this database cannot open its links.
    /// `expires_at`: the second from which it opens nothing; `None` never expires.
    pub async fn create_share(
        &self,
        token_digest: &[u8; 32],
        study: &StudyId,
        snapshot: &Snapshot,
        now: i64,
        expires_at: Option<i64>,
    ) -> Result<ShareId, StoreError> {
        let payload = write_json(snapshot, "the comparison")?;
        let title = snapshot.report.study.title.as_str();
        let (digest, number) = (token_digest.as_slice(), row_number(study.0));
        let row = sqlx::query!(
            r#"insert into share (token_digest, study, title, payload, created_at, expires_at)
               select ?, study.id, ?, ?, ?, ? from study where study.id = ? returning id as "id!""#,
            digest,
            title,
            payload,
            now,
            expires_at,
            number
        )
        .fetch_optional(&self.writer)
        .await?
        .ok_or(StoreError::UnknownStudy(*study))?;
        self.changed();
        Ok(ShareId(row.id as u64))
    }

    /// What a link shows at `now`, and a note that it was opened. `None` for one that is unknown, expired or revoked: a visitor
    /// cannot tell which.
    pub async fn shared(&self, token_digest: &[u8; 32], now: i64) -> Result<Option<Snapshot>, StoreError> {
        let digest = token_digest.as_slice();
        let Some(row) = sqlx::query!(
            r#"select id as "id!", payload, last_opened_at from share
               where token_digest = ? and revoked_at is null and (expires_at is null or ? < expires_at)"#,
            digest,
            now
        )
        .fetch_optional(&self.readers)
        .await?
        else {
            return Ok(None);
        };
        // Once a second at most, however many visitors there are. A full disk must not close the link: the note is then lost.
        if row.last_opened_at.is_none_or(|last_opened_at| last_opened_at < now)
            && self.note_opened(row.id, now).await.is_ok()
        {
            self.changed();
        }
        read_json(&row.payload, || format!("shared comparison {}", row.id)).map(Some)
    }

    async fn note_opened(&self, id: i64, now: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "update share set last_opened_at = max(coalesce(last_opened_at, ?), ?) where id = ?",
            now,
            now,
            id
        )
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Every link that was ever made, newest first.
    pub async fn shares(&self) -> Result<Vec<Share>, StoreError> {
        let rows = sqlx::query!(
            r#"select id as "id!", study, title, created_at, expires_at, revoked_at, last_opened_at
               from share order by id desc"#
        )
        .fetch_all(&self.readers)
        .await?;
        let shares = rows.into_iter().map(|row| Share {
            id: ShareId(row.id as u64),
            study: row.study.map(|study| StudyId(study as u64)),
            title: row.title,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_opened_at: row.last_opened_at,
        });
        Ok(shares.collect())
    }

    /// Takes a link back for good; one that was taken back before keeps its first time. Whether there is such a link.
    pub async fn revoke_share(&self, id: &ShareId, now: i64) -> Result<bool, StoreError> {
        let number = row_number(id.0);
        let found = sqlx::query!("update share set revoked_at = coalesce(revoked_at, ?) where id = ?", now, number)
            .execute(&self.writer)
            .await?
            .rows_affected()
            > 0;
        self.changed();
        Ok(found)
    }
}
