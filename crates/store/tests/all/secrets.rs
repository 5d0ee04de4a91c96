//! Settings: what is secret is on the disk in no form that anybody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};

use dayfly_model::platform::{ReleaseStore as _, Setting, SettingName};
use dayfly_model::runtime_config::Secret;
use dayfly_store::{DATABASE, Key, Store, StoreError};

use crate::{Fixture, app, by, offer, open, release};

const VALUE: &str = "a value that nobody may find";

fn settings(values: &[(&str, &str, bool)]) -> BTreeMap<SettingName, Setting> {
    let one = |(name, value, is_secret): &(&str, &str, bool)| {
        let setting = Setting { value: Secret((*value).to_owned()), is_secret: *is_secret };
        (name.parse().unwrap(), setting)
    };
    values.iter().map(one).collect()
}

#[test]
fn secrets_are_encrypted_and_only_the_node_reads_them() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let one = release(&it.store, &id, "one", &[]).unwrap();
    let before = it.store.activate(&by(), &id, &offer(&one.id, false), 100, None).unwrap();
    let set = settings(&[("TOKEN", VALUE, true), ("level", "debug", false)]);
    let after = it.store.change_settings(&by(), &id, &set, &BTreeSet::new(), None).unwrap();
    assert!(after.generation > before.generation);
    let told = it.store.activation(&id).unwrap().unwrap().settings;
    assert_eq!(told, set);
    let shown = it.store.settings(&id, None, 10).unwrap();
    let shown: Vec<_> = shown.iter().map(|it| (it.name.as_str(), it.value.as_deref())).collect();
    assert_eq!(shown, [("TOKEN", None), ("level", Some("debug"))]);
    let (state, mut files) = (it.folder.path().join("state"), 0);
    for entry in std::fs::read_dir(&state).unwrap().flatten().filter(|it| it.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(VALUE.len()).any(|window| window == VALUE.as_bytes()));
        files += 1;
    }
    assert!(files > 1);
    assert!(!format!("{told:?}").contains(VALUE));
    let log = it.store.audit(None, None, 1).unwrap();
    assert_eq!(log[0].detail.as_deref(), Some("TOKEN=… level=…"));
    let unset = BTreeSet::from(["TOKEN".parse().unwrap()]);
    it.store.change_settings(&by(), &id, &BTreeMap::new(), &unset, None).unwrap();
    assert_eq!(it.store.settings(&id, None, 10).unwrap().len(), 1);
}

#[test]
fn what_is_in_a_folder_that_others_read_is_not_theirs_to_read() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    std::fs::DirBuilder::new().mode(0o755).create(&folder).unwrap();
    let store = open(&folder);
    store.collect(std::time::Duration::ZERO).unwrap();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode();
        names.push(entry.file_name().into_string().unwrap());
        assert_eq!(mode & 0o077, 0, "{names:?}");
    }
    for end in ["", "-wal", "-shm"] {
        assert!(names.contains(&format!("{DATABASE}{end}")), "{names:?}");
    }
}

#[test]
fn another_key_opens_nothing() {
    let it = Fixture::new();
    let other = Key::parse(&"08".repeat(32)).unwrap();
    let opened = Store::open(&it.folder.path().join("state"), other);
    assert!(matches!(opened.map(drop), Err(StoreError::Key)));
}

#[test]
fn settings_are_bounded() {
    let it = Fixture::new();
    let id = app("shop");
    it.store.make_app(&by(), &id).unwrap();
    let change =
        |set: &BTreeMap<_, _>| it.store.change_settings(&by(), &id, set, &BTreeSet::new(), None);
    let long = settings(&[("a", &"x".repeat((64 << 10) + 1), false)]);
    assert!(matches!(change(&long), Err(StoreError::Invalid(_))));
    it.quotas("acme", |quotas| quotas.settings = 1);
    let two = settings(&[("a", "1", false), ("b", "2", true)]);
    assert!(matches!(change(&two), Err(StoreError::Quota { quota: "settings", .. })));
    assert!(it.store.settings(&id, None, 10).unwrap().is_empty());
    change(&settings(&[("a", "1", false)])).unwrap();
    change(&settings(&[("a", "2", false)])).unwrap();
}
