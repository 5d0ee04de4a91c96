//! An app as a package: its description, and its content in layers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use dayfly_model::{
    App, Component, ComponentId, DependencySource, HttpTrigger, Inherit, Middleware, Source,
    Stated, TriggerKind,
};
use serde_json::{Map, Value, json};

use super::files::{self, Granted};
use super::locked::{
    ContentRef, DAYFLY, HEALTH, LockedApp, LockedComponent, LockedDependency, LockedFile,
    LockedInherit, LockedSource, LockedTrigger, LockedVariable, NEEDS_OF_COMPONENTS,
};
use super::{
    ARCHIVE, Blob, Budget, CONFIG, Content, DATA, LOCKED, MAX_LAYERS, MAX_LOCKED_BYTES, Package,
    PackageError, WASM, WASM_GZIP, archive,
};
use crate::fetch::{Descriptor, Fetched, MANIFEST, described, digest_of};
use crate::pipeline::{self, Job};
use crate::resolve::{self, Location};
use crate::script::Language;

/// The largest file that stands in the description itself, as with Spin: some registries take no
/// layers that small.
const INLINE_BYTES: u64 = 128;

/// How many files are layers of their own; of more, each component has an archive.
const MAX_SINGLE_FILES: usize = 64;

/// Makes a package of an app, component by component.
pub struct Packer<'a> {
    stated: &'a Stated,
    fetched: &'a Fetched,
    /// Whether frozen components are packed as they are, for hosts that know no compressed ones.
    plain: bool,
    locked: LockedApp,
    blobs: BTreeMap<String, Blob>,
    /// The files of each component, by their paths.
    files: BTreeMap<ComponentId, BTreeMap<String, PathBuf>>,
    left_out: BTreeSet<String>,
    budget: Budget,
}

impl<'a> Packer<'a> {
    /// Begins with what holds for the whole app.
    ///
    /// # Errors
    /// If what stands before its routes cannot be read.
    pub fn new(
        stated: &'a Stated,
        fetched: &'a Fetched,
        plain: bool,
    ) -> Result<Self, PackageError> {
        let locked = LockedApp { metadata: metadata(stated), ..LockedApp::default() };
        let (blobs, files) = (BTreeMap::new(), BTreeMap::new());
        let (left_out, budget) = (BTreeSet::new(), Budget::new());
        let mut packer = Self { stated, fetched, plain, locked, blobs, files, left_out, budget };
        packer.locked.variables = variables(&stated.app);
        for (trigger, stated) in stated.app.triggers.iter().zip(&stated.triggers) {
            let mut before = BTreeMap::new();
            if let TriggerKind::Http(HttpTrigger { middleware, .. }) = &trigger.kind
                && !middleware.is_empty()
            {
                let parts = middleware.iter().map(|it| packer.middleware(&trigger.id, it));
                before.insert("middleware".to_owned(), parts.collect::<Result<_, _>>()?);
            }
            packer.locked.triggers.push(LockedTrigger {
                id: trigger.id.clone(),
                trigger_type: stated.kind.clone(),
                trigger_config: stated.table.clone(),
                trigger_dependencies: before,
            });
        }
        Ok(packer)
    }

    /// Adds a component with the folders that it sees, in the order in which it is told of them.
    ///
    /// # Errors
    /// If its code or its files cannot be had, or are too large.
    pub fn add(
        &mut self,
        component: &Component,
        job: &Job<'_>,
        folders: &[Granted],
    ) -> Result<(), PackageError> {
        files::stay_inside(component)?;
        let wasm = pipeline::flat_source(job)?;
        let source = match self.plain || job.freezer.is_none() {
            true => self.module(wasm, WASM)?,
            false => self.compressed(&wasm)?,
        };
        let mut locked = LockedComponent {
            id: component.id.0.clone(),
            metadata: metadata_of(component),
            source,
            env: component.environment.clone(),
            config: component.variables.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
            ..LockedComponent::default()
        };
        if self.stated.is_dayfly {
            let own = self.dayfly_of(component, folders);
            locked.metadata.insert(DAYFLY.to_owned(), own.into());
        }
        if component.allowed_outbound_hosts.entries().any(|host| host.contains(".spin.internal")) {
            locked.needs_chaining();
            self.locked.spin_lock_version = 1;
            self.locked.must_understand = vec![NEEDS_OF_COMPONENTS.to_owned()];
        }
        for dependency in &component.dependencies {
            let part = LockedDependency {
                source: self.part(&component.id.0, &dependency.source)?,
                export: dependency.export.clone(),
                inherit: inherited(&dependency.inherit),
                environment: self.environment(&dependency.source, &dependency.environment),
            };
            locked.dependencies.insert(dependency.import.clone(), part);
        }
        let files = files::seen(&self.stated.app.root, folders, &mut self.left_out)?;
        self.files.insert(component.id.clone(), files);
        self.locked.components.push(locked);
        Ok(())
    }

    /// What was added, as a package.
    ///
    /// # Errors
    /// If a file cannot be read, or all is too large.
    pub fn finish(mut self) -> Result<Package, PackageError> {
        let all: usize = self.files.values().map(BTreeMap::len).sum();
        for (id, files) in std::mem::take(&mut self.files) {
            let (mut locked, mut archived) = (Vec::new(), BTreeMap::new());
            for (path, host) in files {
                let bytes = std::fs::read(&host).map_err(PackageError::io(&host))?;
                self.budget.take(bytes.len() as u64)?;
                let digest = digest_of(&bytes);
                let content = match bytes.len() as u64 <= INLINE_BYTES {
                    true => ContentRef::inline(&bytes, &digest),
                    false => ContentRef::of(&digest),
                };
                locked.push(LockedFile { content, path: path.clone() });
                if bytes.len() as u64 <= INLINE_BYTES {
                    continue;
                }
                if all > MAX_SINGLE_FILES {
                    archived.insert(path, host);
                } else {
                    let size = bytes.len() as u64;
                    self.blob(DATA, &digest, size, Content::File(host));
                }
            }
            if !archived.is_empty() {
                self.bytes(ARCHIVE, archive::of(&archived)?);
            }
            let component = self.locked.components.iter_mut().find(|it| it.id == id.0);
            component.into_iter().for_each(|it| it.files = std::mem::take(&mut locked));
        }
        self.sealed()
    }

    /// The package of what lies in the blobs by now.
    fn sealed(mut self) -> Result<Package, PackageError> {
        let locked = serde_json::to_vec(&self.locked);
        let locked = locked.map_err(|error| PackageError::Locked(error.to_string()))?;
        if locked.len() as u64 > MAX_LOCKED_BYTES {
            let most = format!("{} MiB of description", MAX_LOCKED_BYTES >> 20);
            return Err(PackageError::TooLarge(most));
        }
        let digest = self.bytes(LOCKED, locked);
        if self.blobs.len() > MAX_LAYERS {
            return Err(PackageError::TooLarge(format!("{MAX_LAYERS} layers")));
        }
        let config = json!({
            "architecture": "wasm",
            "os": "Wasip1",
            "config": { "Labels": { "com.fermyon.spin.lockedAppDigest": format!("sha256:{digest}") } },
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        let layers: Vec<_> = self.blobs.values().map(|blob| blob.descriptor.clone()).collect();
        let digest = self.bytes(CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blobs.get(&digest).map(|blob| &blob.descriptor),
            "layers": layers,
            "annotations": annotations(&self.stated.app),
        });
        let manifest = Bytes::from(manifest.to_string());
        let (blobs, left_out) = (self.blobs.into_values(), self.left_out.into_iter());
        Ok(Package { manifest, blobs: blobs.collect(), left_out: left_out.collect() })
    }

    /// What stands before a handler.
    fn middleware(
        &mut self,
        trigger: &str,
        middleware: &Middleware,
    ) -> Result<LockedDependency, PackageError> {
        Ok(LockedDependency {
            source: self.part(trigger, &middleware.source)?,
            export: None,
            inherit: inherited(&middleware.inherit),
            environment: self.environment(&middleware.source, &middleware.environment),
        })
    }

    /// The variables of a part, to which those of a component of the app belong that is one.
    fn environment(
        &self,
        source: &DependencySource,
        own: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let component = match source {
            DependencySource::Component(id) => self.stated.app.components.get(id),
            DependencySource::Source(_) => None,
        };
        let mut all = component.map(|it| it.environment.clone()).unwrap_or_default();
        all.extend(own.clone());
        all
    }

    /// What is composed with something else.
    fn part(
        &mut self,
        component: &str,
        source: &DependencySource,
    ) -> Result<LockedSource, PackageError> {
        let app = &self.stated.app;
        let missing = || Source::File(PathBuf::new());
        let source = match source {
            DependencySource::Source(source) => source.clone(),
            DependencySource::Component(id) => {
                app.components.get(id).map_or_else(missing, |it| it.source.clone())
            }
        };
        let fetched = Some(self.fetched);
        let (root, cache) = (&app.root, None);
        let location = Location {
            root,
            source: &source,
            build_commands: &[],
            fetched,
            cache,
            optimiser: None,
        };
        let (wasm, _) = resolve::resolve(&location).map_err(|error| PackageError::Part {
            component: component.to_owned(),
            what: described(&source),
            source: error,
        })?;
        self.module(wasm, WASM)
    }

    fn module(&mut self, wasm: Vec<u8>, kind: &str) -> Result<LockedSource, PackageError> {
        self.budget.take(wasm.len() as u64)?;
        Ok(LockedSource::of(&self.bytes(kind, wasm)))
    }

    /// A layer that is compressed, and named by what is in it.
    fn compressed(&mut self, wasm: &[u8]) -> Result<LockedSource, PackageError> {
        self.budget.take(wasm.len() as u64)?;
        let packed = archive::compressed(wasm).map_err(PackageError::io(Path::new("a layer")))?;
        self.bytes(WASM_GZIP, packed);
        Ok(LockedSource::of(&digest_of(wasm)))
    }

    fn bytes(&mut self, kind: &str, bytes: Vec<u8>) -> String {
        let (digest, size) = (digest_of(&bytes), bytes.len() as u64);
        self.blob(kind, &digest, size, Content::Bytes(bytes.into()));
        digest
    }

    fn blob(&mut self, kind: &str, digest: &str, size: u64, content: Content) {
        let (media_type, digits) = (kind.to_owned(), digest.to_owned());
        let digest = format!("sha256:{digest}");
        let descriptor = Descriptor { media_type, digest, size, annotations: None };
        // Of what is both code and a file of a component, the code's layer counts.
        self.blobs.entry(digits).or_insert(Blob { descriptor, content });
    }

    /// What only Dayfly knows of a component.
    fn dayfly_of(&self, component: &Component, folders: &[Granted]) -> Map<String, Value> {
        let mut own = self.stated.bounds.get(&component.id).cloned().unwrap_or_default();
        // What is packed of a script is no script any more, and would have the defaults of others.
        if is_script(component) {
            let limits = own.entry("limits").or_insert_with(|| json!({}));
            let bytes = &component.limits;
            let needed = [("memory", bytes.memory_bytes), ("stack", bytes.stack_bytes)];
            for (name, bytes) in needed {
                if let Some(limits) = limits.as_object_mut() {
                    limits.entry(name).or_insert_with(|| format!("{bytes}B").into());
                }
            }
        }
        let lists =
            [("blob_containers", &component.blob_containers), ("messaging", &component.messaging)];
        for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            own.insert(key.to_owned(), json!(list));
        }
        if component.websockets {
            own.insert("websockets".to_owned(), true.into());
        }
        let folders = folders.iter().map(|it| json!({ "at": it.guest, "writable": it.writable }));
        own.insert("folders".to_owned(), folders.collect());
        own
    }
}

fn is_script(component: &Component) -> bool {
    matches!(&component.source, Source::File(file) if Language::of(file).is_some())
}

fn inherited(inherit: &Inherit) -> LockedInherit {
    match inherit {
        Inherit::All => LockedInherit::All,
        Inherit::Nothing => LockedInherit::Some(Vec::new()),
        Inherit::Some(keys) => LockedInherit::Some(keys.clone()),
    }
}

/// The variables. Who declares one a secret does not want to publish its default.
fn variables(app: &App) -> BTreeMap<String, LockedVariable> {
    let variables = app.variables.iter().map(|(name, variable)| {
        let locked = LockedVariable {
            description: Some(variable.description.clone()).filter(|text| !text.is_empty()),
            default: variable.default.clone().filter(|_| !variable.secret),
            secret: variable.secret,
        };
        (name.clone(), locked)
    });
    variables.collect()
}

fn metadata(stated: &Stated) -> Map<String, Value> {
    let app = &stated.app;
    let mut metadata = Map::from_iter([("name".to_owned(), app.name.clone().into())]);
    for (key, text) in [("version", &app.version), ("description", &app.description)] {
        if !text.is_empty() {
            metadata.insert(key.to_owned(), text.clone().into());
        }
    }
    if !app.authors.is_empty() {
        metadata.insert("authors".to_owned(), json!(app.authors));
    }
    let mut settings: Map<String, Value> = app.trigger_settings.clone().into_iter().collect();
    if !app.http_base.is_empty() {
        settings.insert("http".to_owned(), json!({ "base": app.http_base }));
    }
    let kinds: BTreeSet<_> = stated.triggers.iter().map(|it| it.kind.as_str()).collect();
    if let (Some(kind), 1) = (kinds.first(), kinds.len()) {
        let mut one = settings.get(*kind).cloned().unwrap_or_else(|| json!({}));
        if let Some(one) = one.as_object_mut() {
            one.insert("type".to_owned(), (*kind).into());
        }
        metadata.insert("trigger".to_owned(), one);
    }
    metadata.insert("triggers".to_owned(), settings.into());
    if stated.is_dayfly {
        let mut own = json!({ "version": 1 });
        if let (Some(own), Some(path)) = (own.as_object_mut(), &app.http_health) {
            own.insert(HEALTH.to_owned(), path.clone().into());
        }
        metadata.insert(DAYFLY.to_owned(), own);
    }
    metadata
}

fn metadata_of(component: &Component) -> Map<String, Value> {
    let hosts: Vec<_> = component.allowed_outbound_hosts.entries().collect();
    let mut metadata = Map::new();
    if !component.description.is_empty() {
        metadata.insert("description".to_owned(), component.description.clone().into());
    }
    for (key, list) in [
        ("allowed_outbound_hosts", &hosts),
        ("key_value_stores", &component.key_value_stores),
        ("databases", &component.sqlite_databases),
        ("ai_models", &component.ai_models),
    ] {
        if !list.is_empty() {
            metadata.insert(key.to_owned(), json!(list));
        }
    }
    metadata
}

/// What people see of a package in a registry.
fn annotations(app: &App) -> Map<String, Value> {
    let authors = app.authors.join(", ");
    let named = [
        ("title", &app.name),
        ("version", &app.version),
        ("description", &app.description),
        ("authors", &authors),
    ];
    let named = named.into_iter().filter(|(_, text)| !text.is_empty());
    named
        .map(|(key, text)| (format!("org.opencontainers.image.{key}"), text.clone().into()))
        .collect()
}
