//! What Spin calls a locked app: the description of an app whose content is all there, as JSON. What
//! is not known of it is passed over, unless it says that it has to be understood.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dayfly_model::App;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LOCKED, MAX_LOCKED_BYTES, PackageError};
use crate::fetch::is_digest;

/// What an app may need of its host: that components reach one another by their names.
pub(super) const CHAINING: &str = "local_service_chaining";
const REQUIRED: &str = "required";
const OPTIONAL: &str = "optional";

/// What a host has to look at, where it is there.
pub(super) const NEEDS_OF_COMPONENTS: &str = "component_host_requirements";
const UNDERSTOOD: [&str; 2] = ["host_requirements", NEEDS_OF_COMPONENTS];

/// Under which key the metadata have what only Dayfly knows.
pub(super) const DAYFLY: &str = "dayfly";

/// Under which key they have an app's path of health, which is a setting of its HTTP triggers.
pub(super) const HEALTH: &str = "health";

/// Spin writes no padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LockedApp {
    pub(super) spin_lock_version: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) must_understand: Vec<String>,
    #[serde(default)]
    pub(super) metadata: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) host_requirements: Map<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) variables: BTreeMap<String, LockedVariable>,
    pub(super) triggers: Vec<LockedTrigger>,
    pub(super) components: Vec<LockedComponent>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LockedVariable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<String>,
    #[serde(default)]
    pub(super) secret: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LockedTrigger {
    pub(super) id: String,
    pub(super) trigger_type: String,
    pub(super) trigger_config: Map<String, Value>,
    /// What stands before the handler, by the role that it plays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) trigger_dependencies: BTreeMap<String, Vec<LockedDependency>>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LockedComponent {
    pub(super) id: String,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) metadata: Map<String, Value>,
    pub(super) source: LockedSource,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<LockedFile>,
    /// Its variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) config: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) dependencies: BTreeMap<String, LockedDependency>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) host_requirements: Map<String, Value>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LockedSource {
    pub(super) content_type: String,
    #[serde(flatten)]
    pub(super) content: ContentRef,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LockedDependency {
    pub(super) source: LockedSource,
    pub(super) export: Option<String>,
    #[serde(default)]
    pub(super) inherit: LockedInherit,
    /// Its own variables, which Spin does not read here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) environment: BTreeMap<String, String>,
}

/// What a dependency may use of what its component may use.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LockedInherit {
    All,
    Some(Vec<String>),
}

impl Default for LockedInherit {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LockedFile {
    #[serde(flatten)]
    pub(super) content: ContentRef,
    /// Where the guest sees it, relative to its root.
    pub(super) path: String,
}

/// Content, by its digest or itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ContentRef {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inline: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl LockedApp {
    /// The app that one component makes, whose layer has this digest: it may use nothing beyond
    /// computing, and answers every HTTP request.
    pub(super) fn of_component(name: &str, digest: &str) -> Self {
        let app = App::for_module(Path::new(name));
        let config = [("route", "/..."), ("component", &app.name)];
        let config = config.map(|(key, text)| (key.to_owned(), text.into()));
        let trigger = LockedTrigger {
            id: format!("{}-http-trigger", app.name),
            trigger_type: "http".to_owned(),
            trigger_config: Map::from_iter(config),
            trigger_dependencies: BTreeMap::new(),
        };
        let source = LockedSource::of(digest);
        let component =
            LockedComponent { id: app.name.clone(), source, ..LockedComponent::default() };
        let named = [("name".to_owned(), app.name.into()), (DAYFLY.to_owned(), Map::new().into())];
        Self {
            metadata: Map::from_iter(named),
            triggers: vec![trigger],
            components: vec![component],
            ..Self::default()
        }
    }

    /// Reads a locked app.
    pub(super) fn parse(text: &[u8]) -> Result<Self, PackageError> {
        let no = |problem: String| Err(PackageError::Locked(problem));
        if text.len() as u64 > MAX_LOCKED_BYTES {
            return no(format!("it is longer than {} MiB", MAX_LOCKED_BYTES >> 20));
        }
        let app: Self = match serde_json::from_slice(text) {
            Ok(app) => app,
            Err(error) => return no(error.to_string()),
        };
        if app.spin_lock_version > 1 {
            return no(format!("it is of version {}, not 0 or 1", app.spin_lock_version));
        }
        if let Some(odd) = app.must_understand.iter().find(|it| !UNDERSTOOD.contains(&&***it)) {
            return no(format!("it wants `{odd}` to be understood, which this Dayfly does not"));
        }
        let needs = app.components.iter().flat_map(|component| &component.host_requirements);
        let unmet =
            |(name, need): &(&String, &Value)| *name != CHAINING && need.as_str() != Some(OPTIONAL);
        if let Some((odd, _)) = needs.chain(&app.host_requirements).find(unmet) {
            return no(format!("it needs a host with `{odd}`, which this Dayfly has not"));
        }
        if let Some(component) = app.components.iter().find(|it| !is_id(&it.id)) {
            return no(format!("`{}` is no component id", component.id));
        }
        Ok(app)
    }

    /// Whether a document is a locked app at all, rather than another kind of config.
    pub(super) fn is_one(text: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Marked {
            #[serde(rename = "spin_lock_version")]
            _version: serde::de::IgnoredAny,
        }
        serde_json::from_slice::<Marked>(text).is_ok()
    }

    /// The contents of components, their dependencies, and what stands before them.
    pub(super) fn modules(&self) -> impl Iterator<Item = &ContentRef> {
        let before = self.triggers.iter().flat_map(|it| it.trigger_dependencies.values());
        let parts = self.components.iter().flat_map(|it| it.dependencies.values());
        let parts = parts.chain(before.flatten()).map(|it| &it.source.content);
        self.components.iter().map(|it| &it.source.content).chain(parts)
    }

    /// Everything that it names by a digest and does not hold itself.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let files = self.components.iter().flat_map(|it| &it.files).map(|it| &it.content);
        let named = self.modules().chain(files).filter(|it| it.inline.is_none());
        named.filter_map(ContentRef::digits)
    }
}

impl LockedComponent {
    /// Says that it needs a host by which components reach one another.
    pub(super) fn needs_chaining(&mut self) {
        self.host_requirements.insert(CHAINING.to_owned(), REQUIRED.into());
    }
}

impl LockedSource {
    /// A source in a layer of this digest.
    pub(super) fn of(digest: &str) -> Self {
        Self { content_type: super::WKG_WASM.to_owned(), content: ContentRef::of(digest) }
    }
}

impl ContentRef {
    /// Content in a layer of this digest.
    pub(super) fn of(digest: &str) -> Self {
        Self { inline: None, digest: Some(format!("sha256:{digest}")) }
    }

    /// Content that stands in the description itself, beside its digest.
    pub(super) fn inline(bytes: &[u8], digest: &str) -> Self {
        Self { inline: Some(BASE64.encode(bytes)), ..Self::of(digest) }
    }

    /// The digits of its digest, if it has one of SHA-256.
    pub(super) fn digits(&self) -> Option<&str> {
        self.digest.as_deref()?.strip_prefix("sha256:").filter(|digits| is_digest(digits))
    }

    /// The content, if it stands here.
    pub(super) fn bytes(&self) -> Option<Result<Vec<u8>, PackageError>> {
        let odd = |error| PackageError::Locked(format!("content in it is no base64: {error}"));
        Some(BASE64.decode(self.inline.as_deref()?).map_err(odd))
    }
}

/// Whether a text may name a component, and thereby a file.
fn is_id(text: &str) -> bool {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=128).contains(&text.len()) && text.bytes().all(is_legal)
}

/// Whether a media type is that of a locked app.
pub(super) fn is_locked(media_type: &str) -> bool {
    media_type == LOCKED
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(app: Value) -> String {
        LockedApp::parse(app.to_string().as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_app_of_spins_is_read() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let text = json!({
            "spin_lock_version": 1, "must_understand": ["component_host_requirements"],
            "metadata": { "name": "a" }, "unknown": 1, "triggers": [],
            "components": [{
                "id": "a", "source": { "content_type": "application/wasm", "digest": digest("a") },
                "files": [{ "path": "b", "inline": "aGk", "digest": digest("b") },
                          { "path": "c", "digest": digest("c") },
                          { "path": "d", "digest": "sha256:../d" }],
                "host_requirements": { "local_service_chaining": "required", "new": "optional" },
                "dependencies": { "x:y": { "source": { "content_type": "application/wasm",
                    "digest": digest("d") }, "export": null, "inherit": "All" } },
            }],
        });
        let app = LockedApp::parse(text.to_string().as_bytes()).unwrap();
        let named: Vec<_> = app.named().collect();
        assert_eq!(named, ["a", "d", "c"].map(|digit| digit.repeat(64)));
        let bytes = app.components[0].files[0].content.bytes().unwrap().unwrap();
        assert_eq!(bytes, b"hi");
        assert!(LockedApp::is_one(text.to_string().as_bytes()));
        assert!(!LockedApp::is_one(br#"{"architecture":"wasm"}"#));
    }

    #[test]
    fn what_has_to_be_understood_is() {
        let app = |key: &str, value: Value| {
            let mut app = json!({ "spin_lock_version": 1, "triggers": [], "components": [] });
            app[key] = value;
            app
        };
        assert!(said(app("spin_lock_version", 2.into())).contains("version 2"));
        assert!(said(app("must_understand", json!(["magic"]))).contains("`magic`"));
        assert!(said(app("host_requirements", json!({ "x": "required" }))).contains("`x`"));
        let component =
            |id: &str| json!([{ "id": id, "source": { "content_type": "application/wasm" } }]);
        for odd in ["", "..", "a/b", "a.b", &"a".repeat(129)] {
            assert!(said(app("components", component(odd))).contains("is no component id"));
        }
    }
}
