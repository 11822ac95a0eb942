//! What is asked of segments.

use crate::{Store, StoreError, read_json};
use study::{Segment, SegmentKey, laboratory::merge_active};

impl Store {
    /// The segment as all studies that use it ask for it together ([`merge_active`]). `None` if no study that goes on does.
    pub async fn segment_to_train(&self, key: &SegmentKey) -> Result<Option<Segment>, StoreError> {
        let asked = sqlx::query!(
            r#"select study.id as "study!", study.stopped_at,
                      study.plan -> ('$.segments[' || study_segment.position || ']') as "segment!: String"
               from segment
               join study_segment on study_segment.segment = segment.id
               join study on study.id = study_segment.study
               where segment.key = ? order by study.id"#,
            key.0
        )
        .fetch_all(&self.readers)
        .await?;
        let (mut active, mut stopped) = (Vec::new(), Vec::new());
        for row in asked {
            let segment: Segment = read_json(&row.segment, || format!("segment {key} of study {}", row.study))?;
            if row.stopped_at.is_none() { active.push(segment) } else { stopped.push(segment) }
        }
        Ok(merge_active(&active, &stopped))
    }

    /// Every segment that a study uses, in order. A folder of another name belongs to nobody.
    pub async fn segment_keys(&self) -> Result<Vec<SegmentKey>, StoreError> {
        let keys = sqlx::query!("select key from segment order by key").fetch_all(&self.readers).await?;
        Ok(keys.into_iter().map(|row| SegmentKey(row.key)).collect())
    }
}
