//! The flags of every command that runs or compiles guests.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use dayfly_engine::{Engine, EngineConfig, Mode};
use dayfly_model::Limits;
use dayfly_model::manifest::parse_stack;
use directories::ProjectDirs;

use crate::report;

/// How guests are compiled and where artifacts are kept.
#[derive(Args, Clone)]
pub(crate) struct EngineArgs {
    /// How code is made: `auto` (cached, else compiled; `up` answers by `baseline` until large
    /// components are), `jit` (compiled, nothing kept), `aot` (compiled ahead and kept), `baseline`
    /// (compiled fast, runs slower), `interpreter`
    #[arg(long, env = "DAYFLY_ENGINE", default_value = "auto", value_name = "MODE",
          value_parser = mode_parser())]
    engine: Mode,

    /// Folder of the artifact cache [default: the user's cache folder]
    #[arg(long, env = "DAYFLY_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,

    /// Size that the artifact cache stays within, in MiB
    #[arg(long, env = "DAYFLY_CACHE_SIZE", default_value_t = 4096, value_name = "MIB")]
    cache_size: u64,

    /// Stack that every guest may use, whatever its limits say [default: the largest `stack` among
    /// the limits, 1MiB]
    #[arg(long, env = "DAYFLY_STACK", value_name = "SIZE", value_parser = parse_stack)]
    stack: Option<u64>,
}

pub(crate) fn mode_parser() -> impl clap::builder::TypedValueParser<Value = Mode> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Mode::ALL.map(Mode::as_str)).try_map(|text| text.parse::<Mode>())
}

impl EngineArgs {
    /// Keeps artifacts in this folder, unless the user named one.
    pub(crate) fn keep_in(&mut self, folder: &Path) {
        self.cache_dir.get_or_insert_with(|| folder.join("cache"));
    }

    /// The folder of the artifact cache, if there is to be one.
    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        self.cache_dir.clone().or_else(default_cache)
    }

    /// The flags by which another process makes the same code, with this stack unless the user named
    /// one.
    pub(crate) fn flags(&self, stack_bytes: u64) -> Vec<OsString> {
        let stack = self.stack.unwrap_or(stack_bytes);
        let mut flags = vec![
            format!("--engine={}", self.engine.as_str()).into(),
            format!("--cache-size={}", self.cache_size).into(),
            format!("--stack={stack}B").into(),
        ];
        if let Some(folder) = &self.cache_dir {
            flags.extend(["--cache-dir".into(), folder.into()]);
        }
        flags
    }

    /// An engine for at most `max_instances` at once, beside which others may wait for another
    /// request. Its instances have the largest stack that any of the `limits` asks for.
    pub(crate) fn build<'a>(
        &self,
        max_instances: u32,
        kept_instances: u32,
        limits: impl IntoIterator<Item = &'a Limits>,
    ) -> Result<Engine> {
        let config = self.config(max_instances, kept_instances, limits);
        Engine::new(config).map_err(|error| anyhow!(error))
    }

    /// The same, which compiles nothing: another process, with [these flags](Self::flags), puts all code
    /// into the artifact cache.
    ///
    /// # Errors
    /// If there is no artifact cache.
    pub(crate) fn build_loader(
        &self,
        max_instances: u32,
        kept_instances: u32,
        limits: &Limits,
    ) -> Result<Engine> {
        let config = self.config(max_instances, kept_instances, [limits]);
        let engine = Engine::new(EngineConfig { compiles: false, ..config })?;
        if let Some(Err(error)) = engine.cache() {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            return Err(anyhow!("{error}{cause}"));
        }
        Ok(engine)
    }

    /// Checks that code is kept where other processes find it.
    ///
    /// # Errors
    /// If the mode keeps none.
    pub(crate) fn keeps_code(&self) -> Result<()> {
        match self.engine.uses_cache() {
            true => Ok(()),
            false => {
                let error = anyhow!("`--engine {}` keeps no code", self.engine);
                let hint =
                    "a platform serves what its workers have compiled: choose `auto` or `aot`";
                Err(report::hint(error, Some(hint)))
            }
        }
    }

    fn config<'a>(
        &self,
        max_instances: u32,
        kept_instances: u32,
        limits: impl IntoIterator<Item = &'a Limits>,
    ) -> EngineConfig {
        let asked = limits.into_iter().map(|limits| limits.stack_bytes).max();
        let defaults = EngineConfig::default();
        EngineConfig {
            mode: self.engine,
            cache_dir: self.cache_folder(),
            cache_bytes: self.cache_size.saturating_mul(1 << 20),
            max_instances,
            kept_instances,
            max_stack_bytes: self.stack.or(asked).unwrap_or(defaults.max_stack_bytes),
            ..defaults
        }
    }
}

/// The user's cache folder, where the system has one.
fn default_cache() -> Option<PathBuf> {
    ProjectDirs::from("", "", "dayfly").map(|folders| folders.cache_dir().join("artifacts"))
}
