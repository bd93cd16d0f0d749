//! Tests of files in memory and in both databases.

use super::*;
use crate::store::testing::Base;

const SMALL: FileBounds = FileBounds {
    own_count: 3,
    own_bytes: 100,
    all_count: 5,
    all_bytes: 250,
};

fn owner(name: &str) -> FileOwner {
    FileOwner {
        workspace: "default".to_owned(),
        subject: format!("user:{name}"),
    }
}

fn file(name: &str, size: usize) -> FileRow<Bytes> {
    FileRow {
        bridge: "excel".to_owned(),
        name: name.to_owned(),
        media_type: "application/pdf".to_owned(),
        content: vec![7; size].into(),
    }
}

/// For each id, whether the file of this owner is still stored.
async fn left(files: &FileStore, owner: &FileOwner, ids: &[FileId]) -> Vec<bool> {
    let mut left = Vec::new();
    for id in ids {
        left.push(files.open(id, owner).await.unwrap().is_some());
    }
    left
}

async fn all() -> Vec<(FileStore, Option<Base>)> {
    let mut all = vec![(FileStore::new(None), None)];
    for base in Base::both().await {
        let store = Arc::new(base.store().await);
        all.push((FileStore::new(Some(store)), Some(base)));
    }
    all
}

#[tokio::test]
async fn a_file_opens_for_its_owner_alone() {
    for (files, _base) in all().await {
        let (ann, id) = (owner("ann"), FileId::random());
        files.keep(&id, &ann, file("ä.pdf", 9)).await.unwrap();
        assert_eq!(files.open(&id, &ann).await.unwrap(), Some(file("ä.pdf", 9)));
        let elsewhere = FileOwner {
            workspace: "other".to_owned(),
            ..ann.clone()
        };
        for (id, owner) in [
            (&id, &owner("bob")),
            (&id, &elsewhere),
            (&FileId::random(), &ann),
        ] {
            assert_eq!(files.open(id, owner).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn a_file_that_is_over_is_not_handed_out_and_is_deleted() {
    for (mut files, _base) in all().await {
        files.ttl = Duration::from_millis(1);
        let (ann, id) = (owner("ann"), FileId::random());
        files.keep(&id, &ann, file("a", 9)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(files.open(&id, &ann).await.unwrap(), None);
        let sweep = async || match &files.place {
            FileBackend::Database(store) => store.sweep_files().await.unwrap(),
            FileBackend::Memory(memory) => memory.sweep(),
        };
        assert_eq!(sweep().await, 1);
        assert_eq!(sweep().await, 0);
    }
}

#[tokio::test]
async fn the_oldest_files_of_a_caller_make_room_and_those_of_others_stay() {
    let shelf = FileStore {
        ttl: FILE_TTL,
        place: FileBackend::Memory(MemoryFileStore::new(SMALL)),
    };
    let mut kinds = vec![(shelf, None)];
    for base in Base::both().await {
        let store = Arc::new(base.store().await);
        kinds.push((
            FileStore::new(Some(Arc::clone(&store))),
            Some((store, base)),
        ));
    }
    for (files, stored) in kinds {
        let keep = async |id: &FileId, owner: &FileOwner, size: usize| match &stored {
            None => files.keep(id, owner, file("a", size)).await,
            Some((store, _)) => {
                let content = vec![7; size];
                let row = FileRow {
                    bridge: "excel".to_owned(),
                    name: "a".to_owned(),
                    media_type: "a/b".to_owned(),
                    content: &content[..],
                };
                let id = id.hashed();
                store.save_file(&id, owner, &row, i64::MAX, &SMALL).await
            }
        };
        let (ann, bob) = (owner("ann"), owner("bob"));
        let ids: Vec<FileId> = (0..5).map(|_| FileId::random()).collect();
        keep(&ids[4], &bob, 10).await.unwrap();
        for id in &ids[..3] {
            keep(id, &ann, 30).await.unwrap();
        }
        assert_eq!(left(&files, &ann, &ids[..3]).await, [true; 3]);
        // One more file: the oldest is deleted. A large file: all files are deleted that do not fit
        // beside it.
        keep(&ids[3], &ann, 30).await.unwrap();
        assert_eq!(
            left(&files, &ann, &ids[..4]).await,
            [false, true, true, true]
        );
        let large = FileId::random();
        keep(&large, &ann, 70).await.unwrap();
        assert_eq!(left(&files, &ann, &ids[1..4]).await, [false, false, true]);
        assert_eq!(left(&files, &bob, &ids[4..]).await, [true]);
        // The bounds of all callers together: a file that does not fit is refused, and files of
        // other callers stay.
        keep(&FileId::random(), &owner("eve"), 100).await.unwrap();
        let refused = keep(&FileId::random(), &owner("dan"), 50).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert_eq!(left(&files, &bob, &ids[4..]).await, [true]);
    }
}

#[test]
fn what_stands_in_a_link_is_read_back_and_nothing_else() {
    let id = FileId::random();
    assert_eq!(FileId::parse(id.as_str()), Some(id.clone()));
    assert_ne!(FileId::random(), id);
    assert_eq!(format!("{id:?}"), "FileId(..)");
    assert!(!id.hashed().contains(id.as_str()));
    let long = "a".repeat(44);
    let odd = format!("{}/", "a".repeat(42));
    for text in ["", "openapi.json", "docs", &long, &odd] {
        assert_eq!(FileId::parse(text), None, "{text}");
    }
}

#[test]
fn callers_are_told_apart() {
    let named = |id, proof| owner_of(&Caller::named(id, proof)).subject;
    assert_eq!(named("ann@x", AuthenticationMethod::Session), "user:ann@x");
    // A call through Open WebUI and the browser of the same user.
    assert_eq!(
        named("ann@x", AuthenticationMethod::SignedHeader),
        "user:ann@x"
    );
    assert_eq!(named("ann@x", AuthenticationMethod::ApiKey), "key:ann@x");
    assert_eq!(
        named("anonymous", AuthenticationMethod::Anonymous),
        "anonymous"
    );
    let mut forwarder = Caller::named("open-webui", AuthenticationMethod::ApiKey);
    forwarder.vouches = true;
    assert_eq!(owner_of(&forwarder).subject, "api_key:open-webui");
}
