//! How a component takes events, told by what it exports.
//!
//! When it exports several handlers the first of this order is taken: `wasi:http/handler@0.3`,
//! `wasi:http/incoming-handler@0.2`, `fermyon:spin/inbound-http`, `spin:redis/inbound-redis@3`,
//! `fermyon:spin/inbound-redis`, `wasi:messaging/incoming-handler@0.2.0-draft`, `handle-cron-event`,
//! `wasi:cli/run@0.3`, `wasi:cli/run@0.2`. A newer HTTP handler streams better than an older one, it takes events of every kind, and any handler is
//! more than a command under CGI.

use dayfly_model::HandlerShape;

use crate::inspect::{InterfaceName, ItemKind, World};

/// No handler that Dayfly can call. What is exported is listed, so that the reader sees at once
/// whether it is the wrong file or the wrong version.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ShapeError {
    /// Nothing is exported at all.
    #[error("the component exports nothing, so no event can reach it")]
    Empty,
    /// A handler is exported, in a version that Dayfly does not serve.
    #[error("the component exports `{export}`, a version that Dayfly does not serve")]
    Version {
        /// The export's name.
        export: String,
    },
    /// Handlers of other triggers than HTTP only.
    #[error("the component exports only {}, a handler of events that this version of Dayfly does not serve", list(.exports))]
    OtherTrigger {
        /// The exports' names.
        exports: Vec<String>,
    },
    /// Exports, but no handler.
    #[error("the component exports only {}, none of which is a handler", list(.exports))]
    NoHandler {
        /// The exports' names.
        exports: Vec<String>,
    },
    /// A command was asked for (Spin's `wagi` executor, or a command trigger), and the component is none.
    #[error("the trigger calls the component as a command, but it exports only {}", list(.exports))]
    NotACommand {
        /// The exports' names.
        exports: Vec<String>,
    },
}

/// What Dayfly can run, for hints.
const SERVED: &str = "Dayfly runs components that export `wasi:http/incoming-handler@0.2`, \
     `wasi:http/handler@0.3`, `fermyon:spin/inbound-http`, `fermyon:spin/inbound-redis`, \
     `spin:redis/inbound-redis@3`, `wasi:messaging/incoming-handler@0.2.0-draft`, \
     `handle-cron-event` or `wasi:cli/run`, and core modules with a `_start`";

impl ShapeError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Version { .. } => "build the component with a current SDK; ".to_owned() + SERVED,
            Self::NotACommand { .. } => {
                "remove `executor` from an HTTP trigger to let the component's exports decide"
                    .to_owned()
            }
            Self::Empty | Self::NoHandler { .. } | Self::OtherTrigger { .. } => SERVED.to_owned(),
        })
    }
}

/// How the component takes events: the first of [`shapes`].
///
/// # Errors
/// When nothing that it exports takes an event.
pub fn detect_shape(world: &World) -> Result<HandlerShape, ShapeError> {
    shapes(world).first().copied().ok_or_else(|| why_none(world))
}

/// How the component is called as a command, whatever else it exports.
///
/// # Errors
/// When it exports no command.
pub fn detect_command(world: &World) -> Result<HandlerShape, ShapeError> {
    shapes(world)
        .into_iter()
        .find(|shape| matches!(shape, HandlerShape::Command02 | HandlerShape::Command03))
        .ok_or_else(|| match why_none(world) {
            ShapeError::Version { export } if export.starts_with("wasi:cli/") => {
                ShapeError::Version { export }
            }
            ShapeError::Empty => ShapeError::Empty,
            _ => ShapeError::NotACommand {
                exports: world.exports.iter().map(|export| export.raw.clone()).collect(),
            },
        })
}

/// Every way in which the component takes events, best first (see the module's own words).
pub fn shapes(world: &World) -> Vec<HandlerShape> {
    let mut found: Vec<_> = world.exports.iter().filter_map(shape_of).collect();
    found.sort_by_key(|shape| rank(*shape));
    found.dedup();
    found
}

fn rank(shape: HandlerShape) -> u8 {
    match shape {
        HandlerShape::Http03 => 0,
        HandlerShape::Http02 => 1,
        HandlerShape::SpinHttp => 2,
        HandlerShape::SpinRedis3 => 3,
        HandlerShape::SpinRedis => 4,
        HandlerShape::Messaging => 5,
        HandlerShape::SpinCron => 6,
        HandlerShape::Command03 => 7,
        HandlerShape::Command02 => 8,
    }
}

pub(crate) fn shape_of(export: &InterfaceName) -> Option<HandlerShape> {
    if export.kind == ItemKind::Function {
        return (export.raw == "handle-cron-event").then_some(HandlerShape::SpinCron);
    }
    if export.kind != ItemKind::Instance {
        return None;
    }
    let id = export.raw.split('@').next().unwrap_or_default();
    match id {
        "wasi:http/incoming-handler" => match release(export)? {
            Release::V0_2 => Some(HandlerShape::Http02),
            Release::V0_3 => None,
        },
        "wasi:http/handler" => (release(export)? == Release::V0_3).then_some(HandlerShape::Http03),
        // Unversioned in every guest there is, and the same in `@1.0.0` and `@2.0.0`.
        "fermyon:spin/inbound-http" => Some(HandlerShape::SpinHttp),
        // Unversioned in every guest there is; `@2.0.0` is the same.
        "fermyon:spin/inbound-redis" => Some(HandlerShape::SpinRedis),
        "spin:redis/inbound-redis" => {
            let major = export.version.as_ref().map(|version| version.major);
            (major == Some(3)).then_some(HandlerShape::SpinRedis3)
        }
        "wasi:messaging/incoming-handler" => {
            (export.raw.ends_with("@0.2.0-draft")).then_some(HandlerShape::Messaging)
        }
        "wasi:cli/run" => match release(export)? {
            Release::V0_2 => Some(HandlerShape::Command02),
            Release::V0_3 => Some(HandlerShape::Command03),
        },
        _ => None,
    }
}

#[derive(PartialEq, Eq)]
enum Release {
    V0_2,
    V0_3,
}

/// Which release a versioned name belongs to. Build metadata (`0.2.0+rc.2023.11.10`, see
/// [`crate::rename`]) is no pre-release and does not matter, as in linking.
fn release(name: &InterfaceName) -> Option<Release> {
    let version = name.version.as_ref()?;
    match (version.major, version.minor, version.patch, version.pre.as_str()) {
        (0, 2, _, "") | (0, 2, 0, "rc-2023-10-18" | "rc-2023-11-10") => Some(Release::V0_2),
        (0, 3, _, "") | (0, 3, 0, "rc-2026-03-15") => Some(Release::V0_3),
        _ => None,
    }
}

fn why_none(world: &World) -> ShapeError {
    if world.exports.is_empty() {
        return ShapeError::Empty;
    }
    let handlers = [
        "wasi:http/incoming-handler",
        "wasi:http/handler",
        "wasi:messaging/incoming-handler",
        "wasi:cli/run",
    ];
    let near = world.exports.iter().find(|export| handlers.iter().any(|id| export.is(id)));
    if let Some(export) = near {
        return ShapeError::Version { export: export.raw.clone() };
    }
    let events = world.exports.iter().filter(|export| export.interface.starts_with("inbound-"));
    let events: Vec<_> = events.map(|export| export.raw.clone()).collect();
    if !events.is_empty() {
        return ShapeError::OtherTrigger { exports: events };
    }
    ShapeError::NoHandler { exports: world.exports.iter().map(|e| e.raw.clone()).collect() }
}

/// `a`, `b` and 3 more.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text =
        names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
