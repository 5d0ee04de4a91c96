//! A manifest of a locked app, for the folder that its content is laid out in: `spin.toml`, or
//! `dayfly.toml` where the app was described by one.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::PackageError;
use super::locked::{
    DAYFLY, HEALTH, LockedApp, LockedComponent, LockedDependency, LockedInherit, LockedTrigger,
};

/// What a component's metadata are called in a manifest.
const METADATA: [(&str, &str); 6] = [
    ("description", "description"),
    ("allowed_outbound_hosts", "allowed_outbound_hosts"),
    ("allowed_http_hosts", "allowed_http_hosts"),
    ("key_value_stores", "key_value_stores"),
    ("databases", "sqlite_databases"),
    ("ai_models", "ai_models"),
];

/// What only Dayfly knows of a component, and only `dayfly.toml` states.
pub(super) const OF_DAYFLY: [&str; 5] =
    ["blob_containers", "limits", "messaging", "reuse", "websockets"];

/// Where the content of an app lies, relative to its folder.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Each component, and each thing that is composed with one, by its digest's digits.
    pub(super) modules: BTreeMap<String, String>,
    /// The folders that each component sees, by its id.
    pub(super) folders: BTreeMap<String, Vec<Folder>>,
}

/// A folder that a component sees.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    /// Where it lies.
    pub(super) path: String,
    /// Where the guest sees it.
    pub(super) destination: String,
    pub(super) writable: bool,
}

/// The manifest's name and its text.
pub(super) fn of(app: &LockedApp, places: &Places) -> Result<(&'static str, String), PackageError> {
    let is_dayfly = app.metadata.contains_key(DAYFLY);
    let mut manifest = Table::new();
    let (name, version) = match is_dayfly {
        true => ("dayfly.toml", ("dayfly", 1)),
        false => ("spin.toml", ("spin_manifest_version", 2)),
    };
    manifest.insert(version.0.to_owned(), Value::Integer(version.1));
    manifest.insert("application".to_owned(), application(&app.metadata).into());
    manifest.insert("variables".to_owned(), variables(app).into());
    let mut triggers: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for it in &app.triggers {
        triggers.entry(&it.trigger_type).or_default().push(trigger(it, places)?.into());
    }
    let triggers: Table =
        triggers.into_iter().map(|(kind, list)| (kind.to_owned(), list.into())).collect();
    manifest.insert("trigger".to_owned(), triggers.into());
    let mut components = Table::new();
    for it in &app.components {
        let table = component(it, places, is_dayfly)?;
        if components.insert(it.id.clone(), table.into()).is_some() {
            return Err(PackageError::Locked(format!("two components have the id `{}`", it.id)));
        }
    }
    manifest.insert("component".to_owned(), components.into());
    manifest.retain(says_something);
    let text = toml::to_string(&manifest).map_err(|error| PackageError::Locked(error.to_string()));
    Ok((name, text?))
}

fn application(metadata: &Map<String, Json>) -> Table {
    let mut application = Table::new();
    for key in ["name", "version", "description", "authors"] {
        take(metadata, key, key, &mut application);
    }
    // Where an app has one kind of trigger, Spin states its settings a second time, as it always did.
    let settings = match (metadata.get("triggers"), metadata.get("trigger")) {
        (Some(Json::Object(kinds)), _) => Some(Json::from(kinds.clone())),
        (_, Some(Json::Object(one))) => {
            let mut one = one.clone();
            let kind = one.remove("type").and_then(|kind| kind.as_str().map(str::to_owned));
            kind.map(|kind| Json::Object(Map::from_iter([(kind, one.into())])))
        }
        _ => None,
    };
    let mut settings = match settings {
        Some(Json::Object(kinds)) => kinds,
        _ => Map::new(),
    };
    if let Some(path) = metadata.get(DAYFLY).and_then(|own| own.get(HEALTH)) {
        let http = settings.entry("http").or_insert_with(|| Map::new().into());
        if let Some(http) = http.as_object_mut() {
            http.insert(HEALTH.to_owned(), path.clone());
        }
    }
    application.insert("trigger".to_owned(), table_of(&settings).into());
    application.retain(says_something);
    application
}

fn variables(app: &LockedApp) -> Table {
    let variables = app.variables.iter().map(|(name, variable)| {
        let mut table = Table::new();
        match &variable.default {
            Some(default) => table.insert("default".to_owned(), default.clone().into()),
            None => table.insert("required".to_owned(), true.into()),
        };
        if variable.secret {
            table.insert("secret".to_owned(), true.into());
        }
        if let Some(description) = &variable.description {
            table.insert("description".to_owned(), description.clone().into());
        }
        (name.clone(), table.into())
    });
    variables.collect()
}

fn trigger(trigger: &LockedTrigger, places: &Places) -> Result<Table, PackageError> {
    let mut table = table_of(&trigger.trigger_config);
    table.insert("id".to_owned(), trigger.id.clone().into());
    let mut roles = Table::new();
    for (role, parts) in &trigger.trigger_dependencies {
        let parts: Result<Vec<Value>, _> =
            parts.iter().map(|it| dependency(it, places).map(Value::from)).collect();
        roles.insert(role.clone(), parts?.into());
    }
    if !roles.is_empty() {
        table.insert("dependencies".to_owned(), roles.into());
    }
    Ok(table)
}

fn component(
    component: &LockedComponent,
    places: &Places,
    is_dayfly: bool,
) -> Result<Table, PackageError> {
    let mut table = Table::new();
    table.insert("source".to_owned(), module(component.source.content.digits(), places)?.into());
    for (from, to) in METADATA {
        take(&component.metadata, from, to, &mut table);
    }
    if let Some(Json::Object(own)) = component.metadata.get(DAYFLY).filter(|_| is_dayfly) {
        for key in OF_DAYFLY {
            take(own, key, key, &mut table);
        }
    }
    let texts = |texts: &BTreeMap<String, String>| -> Value {
        texts
            .iter()
            .map(|(name, text)| (name.clone(), text.clone().into()))
            .collect::<Table>()
            .into()
    };
    table.insert("environment".to_owned(), texts(&component.env));
    table.insert("variables".to_owned(), texts(&component.config));
    let folders = places.folders.get(&component.id).map_or(&[][..], Vec::as_slice);
    let folders = folders.iter().map(|folder| {
        let mut mount = Table::new();
        mount.insert("source".to_owned(), folder.path.clone().into());
        mount.insert("destination".to_owned(), folder.destination.clone().into());
        if folder.writable {
            mount.insert("writable".to_owned(), true.into());
        }
        Value::from(mount)
    });
    table.insert("files".to_owned(), folders.collect::<Vec<_>>().into());
    let mut dependencies = Table::new();
    for (import, it) in &component.dependencies {
        dependencies.insert(import.clone(), dependency(it, places)?.into());
    }
    table.insert("dependencies".to_owned(), dependencies.into());
    table.retain(says_something);
    Ok(table)
}

fn dependency(dependency: &LockedDependency, places: &Places) -> Result<Table, PackageError> {
    let mut table = Table::new();
    table.insert("path".to_owned(), module(dependency.source.content.digits(), places)?.into());
    if let Some(export) = &dependency.export {
        table.insert("export".to_owned(), export.clone().into());
    }
    let inherited: Value = match &dependency.inherit {
        LockedInherit::All => true.into(),
        LockedInherit::Some(keys) if keys.is_empty() => false.into(),
        LockedInherit::Some(keys) => keys.clone().into(),
    };
    table.insert("inherit_configuration".to_owned(), inherited);
    if !dependency.environment.is_empty() {
        let variables = dependency.environment.iter();
        let variables: Table =
            variables.map(|(name, text)| (name.clone(), text.clone().into())).collect();
        table.insert("environment".to_owned(), variables.into());
    }
    Ok(table)
}

/// Where the module of a digest lies.
fn module(digest: Option<&str>, places: &Places) -> Result<String, PackageError> {
    let digest = digest.unwrap_or_default();
    let place = places.modules.get(digest).cloned();
    place.ok_or_else(|| PackageError::Missing { digest: digest.to_owned() })
}

/// Takes a key over, unless it says nothing.
fn take(from: &Map<String, Json>, key: &str, name: &str, into: &mut Table) {
    let value = from.get(key).and_then(toml_of);
    if let Some(value) = value.filter(|value| value.as_str() != Some("")) {
        into.insert(name.to_owned(), value);
    }
}

/// Whether a key is worth stating.
fn says_something(_: &str, value: &mut Value) -> bool {
    match value {
        Value::Table(table) => !table.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

fn table_of(table: &Map<String, Json>) -> Table {
    table.iter().filter_map(|(key, value)| Some((key.clone(), toml_of(value)?))).collect()
}

/// JSON as TOML, which has no `null`.
fn toml_of(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(bool) => Value::Boolean(*bool),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Value::Integer(integer),
            None => Value::Float(number.as_f64()?),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(list) => Value::Array(list.iter().filter_map(toml_of).collect()),
        Json::Object(table) => Value::Table(table_of(table)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    fn manifest(app: &Json) -> (&'static str, String) {
        let app = LockedApp::parse(app.to_string().as_bytes()).unwrap();
        let modules = BTreeMap::from([("a".repeat(64), "components/a.wasm".to_owned())]);
        of(&app, &Places { modules, ..Places::default() }).unwrap()
    }

    #[test]
    fn settings_of_triggers_are_found_where_any_version_of_spin_puts_them() {
        let app = |metadata: Json| {
            let trigger = json!({ "id": "a", "trigger_type": "http",
                "trigger_config": { "route": "/", "component": "a", "executor": null } });
            let source = json!({ "content_type": "application/wasm", "digest": digest("a") });
            json!({ "spin_lock_version": 0, "metadata": metadata, "triggers": [trigger],
                    "components": [{ "id": "a", "source": source }] })
        };
        let expected = "spin_manifest_version = 2\n\n[application]\nname = \"a\"\n\n\
            [application.trigger.http]\nbase = \"/base\"\n\n\
            [component.a]\nsource = \"components/a.wasm\"\n\n\
            [[trigger.http]]\ncomponent = \"a\"\nid = \"a\"\nroute = \"/\"\n";
        let old = json!({ "type": "http", "base": "/base" });
        for metadata in [
            json!({ "name": "a", "trigger": old }),
            json!({ "name": "a", "trigger": old, "triggers": { "http": { "base": "/base" } } }),
        ] {
            assert_eq!(manifest(&app(metadata)), ("spin.toml", expected.to_owned()));
        }
        let (name, text) = manifest(&app(json!({ "name": "a", "dayfly": {} })));
        assert_eq!(name, "dayfly.toml");
        assert!(text.starts_with("dayfly = 1\n"), "{text}");
        // What only Dayfly states of them stands beside what Spin does, whatever that is.
        for (base, expected) in [
            (json!({ "http": { "base": "/b" } }), "base = \"/b\"\nhealth = \"/h\"\n"),
            (json!({}), "[application.trigger.http]\nhealth = \"/h\"\n"),
            (json!({ "http": "odd" }), "http = \"odd\"\n"),
        ] {
            let own = json!({ "version": 1, "health": "/h" });
            let metadata = json!({ "name": "a", "triggers": base, "dayfly": own });
            let (_, text) = manifest(&app(metadata));
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let app = json!({ "spin_lock_version": 0, "triggers": [],
            "components": [{ "id": "a", "source": { "content_type": "x", "digest": digest("b") } }] });
        let app = LockedApp::parse(app.to_string().as_bytes()).unwrap();
        let error = of(&app, &Places::default()).unwrap_err();
        let expected = format!("it names `{}`, which none of its layers has", digest("b"));
        assert_eq!(error.to_string(), expected);
    }
}
