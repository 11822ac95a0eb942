use crate::examples::*;
use store::StoreError;
use study::{Share, ShareId, StudyId};

const TOKEN: [u8; 32] = [7; 32];

#[tokio::test]
async fn a_link_shows_what_was_frozen_and_outlives_its_study() {
    let (_folder, store) = empty_store().await;
    let study = create(&store, "shared", &plan(vec![segment(1, 20, Vec::new())])).await;
    let id = store.create_share(&TOKEN, &study, &snapshot("Does it help?"), 100, None).await.unwrap();
    assert_eq!(store.shared(&TOKEN, 150).await.unwrap(), Some(snapshot("Does it help?")));

    store.delete_study(&study).await.unwrap();
    assert_eq!(store.shared(&TOKEN, 160).await.unwrap(), Some(snapshot("Does it help?")));
    let expected = Share {
        id,
        study: None,
        title: "Does it help?".into(),
        created_at: 100,
        expires_at: None,
        revoked_at: None,
        last_opened_at: Some(160),
    };
    assert_eq!(store.shares().await.unwrap(), [expected]);
}

#[tokio::test]
async fn unknown_expired_and_revoked_links_look_the_same() {
    let (_folder, store) = empty_store().await;
    let study = create(&store, "shared", &plan(vec![segment(1, 20, Vec::new())])).await;
    let expiring = store.create_share(&[1; 32], &study, &snapshot("expiring"), 100, Some(200)).await.unwrap();
    let revoked = store.create_share(&[2; 32], &study, &snapshot("revoked"), 100, None).await.unwrap();
    assert!(store.shared(&[1; 32], 199).await.unwrap().is_some());
    assert!(store.shared(&[2; 32], 199).await.unwrap().is_some());
    assert!(store.revoke_share(&revoked, 200).await.unwrap());
    assert!(store.revoke_share(&revoked, 300).await.unwrap());

    for token in [[1; 32], [2; 32], [3; 32]] {
        assert_eq!(store.shared(&token, 200).await.unwrap(), None);
    }
    let share = |id, title: &str, expires_at, revoked_at| Share {
        id,
        study: Some(study),
        title: title.into(),
        created_at: 100,
        expires_at,
        revoked_at,
        last_opened_at: Some(199),
    };
    let expected = [share(revoked, "revoked", None, Some(200)), share(expiring, "expiring", Some(200), None)];
    assert_eq!(store.shares().await.unwrap(), expected, "newest first; opening what is closed is no opening");
}

#[tokio::test]
async fn a_link_is_noted_as_opened_once_a_second() {
    let (_folder, store) = empty_store().await;
    let study = create(&store, "shared", &plan(vec![segment(1, 20, Vec::new())])).await;
    store.create_share(&TOKEN, &study, &snapshot("opened"), 100, None).await.unwrap();
    assert_eq!(store.shares().await.unwrap()[0].last_opened_at, None);
    let mut changes = store.changes();
    store.shared(&TOKEN, 150).await.unwrap();
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    store.shared(&TOKEN, 150).await.unwrap();
    assert!(!changes.has_changed().unwrap());
    store.shared(&TOKEN, 151).await.unwrap();
    assert_eq!(store.shares().await.unwrap()[0].last_opened_at, Some(151));
}

#[tokio::test]
async fn what_is_not_there_cannot_be_shared_or_revoked() {
    let (_folder, store) = empty_store().await;
    let missing = store.create_share(&TOKEN, &StudyId(9), &snapshot("missing"), 100, None).await;
    assert!(matches!(missing, Err(StoreError::UnknownStudy(StudyId(9)))), "{missing:?}");
    assert!(!store.revoke_share(&ShareId(9), 100).await.unwrap());
    assert!(!store.revoke_share(&ShareId(u64::MAX), 100).await.unwrap());
    assert_eq!(store.shares().await.unwrap(), []);
}

#[tokio::test]
async fn one_token_opens_one_comparison() {
    let (_folder, store) = empty_store().await;
    let study = create(&store, "shared", &plan(vec![segment(1, 20, Vec::new())])).await;
    store.create_share(&TOKEN, &study, &snapshot("first"), 100, None).await.unwrap();
    assert!(store.create_share(&TOKEN, &study, &snapshot("second"), 100, None).await.is_err());
    assert_eq!(store.shared(&TOKEN, 100).await.unwrap(), Some(snapshot("first")));
}
