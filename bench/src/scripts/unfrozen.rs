//! What the start of an instance costs without freezing: the interpreter begun, and the app loaded by it.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use dayfly_engine::{Engine, EngineConfig, Mode};
use dayfly_forge::fetch::{FetchConfig, PATIENCE, Registries};
use dayfly_forge::freeze::freeze;
use dayfly_forge::script::{self, Language};
use dayfly_forge::{FreezeTerms, FrozenFolder};

use crate::stats::median;

const STARTS: usize = 5;

/// Milliseconds from the instance's beginning to the loaded app; its code is at hand.
pub(super) fn start(script: &Path, work: &Path) -> Result<f64> {
    let language = Language::of(script).context("it is no script")?;
    let component = script::component(language, &interpreter(language, work)?)?;
    let folder = script.parent().context("it lies nowhere")?;
    let name = script.file_name().context("it has no name")?.to_string_lossy();
    let boot = tempfile::tempdir_in(work)?;
    for (name, bytes) in script::boot_files(language, &format!("/app/{name}")) {
        std::fs::write(boot.path().join(name), bytes)?;
    }
    let granted =
        |host: &Path, guest: &str| FrozenFolder { host: host.into(), guest: guest.into() };
    let terms = FreezeTerms {
        initialiser: Some("initialize".to_owned()),
        folders: vec![granted(folder, "/app"), granted(boot.path(), "/dayfly")],
        ..FreezeTerms::default()
    };
    let engine = Engine::new(EngineConfig {
        mode: Mode::Aot,
        cache_dir: Some(work.join("cache")),
        max_instances: 8,
        max_stack_bytes: 8 << 20,
        ..EngineConfig::default()
    })?;
    let once = || -> Result<f64> {
        let frozen = freeze(&engine, component.clone(), &terms)?;
        Ok(frozen.started_in.as_secs_f64() * 1e3)
    };
    Ok(median((0..STARTS).map(|_| once()).collect::<Result<Vec<_>>>()?))
}

fn interpreter(language: Language, work: &Path) -> Result<Vec<u8>> {
    let config = FetchConfig {
        folder: work.join("interpreters"),
        patience: PATIENCE,
        registries: Registries::default(),
        credentials: None,
    };
    let given = std::env::var("DAYFLY_INTERPRETERS").ok();
    let path = script::fetch(language.interpreter(), &config, given.as_deref(), |_| {})
        .map_err(|error| anyhow!("{error}: {:?}", error.failure))?;
    Ok(std::fs::read(path)?)
}
