//! What a component may touch: the grants that its imports lead to.

use dayfly_capabilities::registry;
use dayfly_forge::World;
use dayfly_model::{Component, DENIED, FileGrant};

/// The keys of the component's table that open something for what it imports, with what they open. What
/// it is granted and has no import for, it cannot touch.
pub(super) fn of(component: &Component, world: &World) -> Vec<(&'static str, Vec<String>)> {
    let opened = world.imports.iter().filter(|import| !import.raw.starts_with(DENIED));
    let opened = opened.filter_map(|import| registry::serving(&import.raw)?.key_of(&import.raw));
    let mut keys: Vec<&'static str> = opened.collect();
    keys.sort_unstable();
    keys.dedup();
    let touched = keys.into_iter().map(|key| (key, values(component, key)));
    touched.filter(|(_, values)| !values.is_empty()).collect()
}

fn values(component: &Component, key: &str) -> Vec<String> {
    match key {
        "files" => component.files.iter().map(file).collect(),
        "environment" => component.environment.keys().cloned().collect(),
        "allowed_outbound_hosts" => component.allowed_outbound_hosts.entries().collect(),
        "variables" => component.variables.keys().cloned().collect(),
        "key_value_stores" => component.key_value_stores.clone(),
        "blob_containers" => component.blob_containers.clone(),
        "messaging" => component.messaging.clone(),
        "sqlite_databases" => component.sqlite_databases.clone(),
        "websockets" if component.websockets => vec!["those of the app".to_owned()],
        "ai_models" => component.ai_models.clone(),
        _ => Vec::new(),
    }
}

fn file(grant: &FileGrant) -> String {
    match grant {
        FileGrant::Glob(glob) => format!("{glob} (read)"),
        FileGrant::Mount { destination, writable, .. } => {
            format!("{destination} ({})", if *writable { "write" } else { "read" })
        }
    }
}
