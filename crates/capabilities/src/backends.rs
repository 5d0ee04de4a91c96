//! What stands behind an app's grants and is shared by its components: the values of its variables,
//! its stores, its state folder. Made once when the app is activated; what must be opened is opened
//! when a guest first asks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dayfly_model::RuntimeConfig;

/// The backends of one app.
pub struct Backends {
    /// A value for each variable of the app.
    pub variables: BTreeMap<String, String>,
    /// The app's folder for what Dayfly keeps.
    pub state: PathBuf,
    /// What the operator says of the app's surroundings.
    pub config: RuntimeConfig,
}

impl Backends {
    /// Backends as `config` says, with what is kept in `state`; nothing is opened yet.
    pub fn new(
        variables: BTreeMap<String, String>,
        state: PathBuf,
        config: RuntimeConfig,
    ) -> Self {
        Self { variables, state, config }
    }
}
