//! A description of an app out of a package is laid out, or is refused; nothing is written beside its
//! folder, and what was laid out is an app that reaches for nothing else.
#![no_main]

use std::path::Path;

use dayfly_forge::package;
use dayfly_model::{FileGrant, Manifest, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|description: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).expect("a new folder");
    let laid_out = package::lay_out(description, &inner);
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 1);
    if laid_out.is_err() {
        return;
    }
    let app = Manifest::load(&inner.join("app"), None).expect("an app");
    let is_inside = |path: &Path| path.is_relative() && !path.iter().any(|part| part == "..");
    for source in app.sources() {
        assert!(matches!(source, Source::File(file) if is_inside(file)), "{source:?}");
    }
    for grant in app.components.values().flat_map(|component| &component.files) {
        assert!(matches!(grant, FileGrant::Mount { source, .. } if is_inside(source)), "{grant:?}");
    }
});
