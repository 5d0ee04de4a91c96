//! Changes that are made once for the same request, whatever fails in between.

use std::process::Command;

use dayfly_store::{AnswerBytes, Keyed, Result, Store, StoreError, Terms};

use crate::{Fixture, by, open, tenant};

/// Where the process that ends itself finds the store.
const FOLDER: &str = "DAYFLY_TEST_ENDED_FOLDER";

fn keyed(request: &str) -> Keyed {
    Keyed { token: "t1".to_owned(), key: "one".to_owned(), request: request.into() }
}

/// Makes a tenant, once, unless `fails` has something happen before that is over.
fn make(store: &Store, request: &str, fails: impl FnOnce() -> Result<()>) -> Result<AnswerBytes> {
    store.once(&keyed(request), |store| {
        let made = store.make_tenant(&by(), &tenant("new"), Terms::default())?;
        assert_eq!(store.tenant(&tenant("new"))?.created_ms, made.created_ms);
        fails()?;
        Ok(made.name.to_string().into_bytes().into())
    })
}

fn is_there(store: &Store) -> bool {
    let audit = store.audit(Some(&tenant("new")), None, 10).unwrap();
    assert_eq!(audit.len(), usize::from(store.tenant(&tenant("new")).is_ok()));
    !audit.is_empty()
}

#[test]
fn a_change_and_its_answer_are_there_both_or_neither() {
    let it = Fixture::new();
    let failed = make(&it.store, "a", || Err(StoreError::Full));
    assert!(matches!(failed, Err(StoreError::Full)));
    assert!(!is_there(&it.store));
    let first = make(&it.store, "a", || Ok(())).unwrap();
    assert_eq!(*first, b"new");
    // Whoever asks again hears the same, in another process, too, and nothing is changed.
    let again = || -> Result<()> { panic!("it is made again") };
    assert_eq!(make(&it.store, "a", again).unwrap(), first);
    let other = open(&it.folder.path().join("state"));
    assert_eq!(make(&other, "a", again).unwrap(), first);
    assert!(matches!(make(&other, "b", again), Err(StoreError::Idempotency)));
    it.store.remove_tenant(&by(), &tenant("new")).unwrap();
    assert_eq!(make(&it.store, "a", again).unwrap(), first);
    // Another token's key is another one.
    let theirs = Keyed { token: "t2".to_owned(), ..keyed("b") };
    let answer = it.store.once(&theirs, |_| Ok(b"else".to_vec().into())).unwrap();
    assert_eq!(*answer, b"else");
    let answer = it.store.once(&theirs, |_| panic!("it is made again")).unwrap();
    assert_eq!(*answer, b"else");
}

/// The process that ends itself in the middle. As a test of its own it has nothing to do.
#[test]
fn ends_in_the_middle() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let _ = make(&open(folder.as_ref()), "a", || std::process::abort());
}

#[test]
fn what_was_not_answered_when_its_process_ended_was_not_done() {
    let it = Fixture::new();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "answers::ends_in_the_middle"]);
    let ended = child.env(FOLDER, it.folder.path().join("state")).output().unwrap();
    assert!(ended.status.code().is_none(), "it ended by itself: {ended:?}");
    assert!(!is_there(&it.store));
    assert_eq!(*make(&it.store, "a", || Ok(())).unwrap(), b"new");
    assert!(is_there(&it.store));
}
