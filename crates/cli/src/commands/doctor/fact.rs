//! One fact, and whether it is a good one.

use std::borrow::Cow;

use serde_json::{Value, json};

/// Whether Dayfly runs well with a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Ok,
    /// Something is not there that not everybody needs.
    Missing,
    /// It runs, less well than it could.
    Warn,
    /// It does not run, or the app at hand cannot be built.
    Fail,
}

/// One fact about the program or the machine.
pub(super) struct Fact {
    pub(super) name: Cow<'static, str>,
    pub(super) value: String,
    pub(super) health: Health,
    /// What to do about it, or what it means.
    pub(super) hint: Option<String>,
    /// The command that installs what is missing.
    pub(super) install: Option<String>,
}

impl Fact {
    pub(super) fn ok(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        Self { name, value, health: Health::Ok, hint: None, install: None }
    }

    pub(super) fn warn(
        name: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { health: Health::Warn, hint: Some(hint.into()), ..Self::ok(name, value) }
    }

    pub(super) fn fail(
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { health: Health::Fail, hint: Some(hint.into()), ..Self::ok(name, value) }
    }

    /// A number that should not be below `wanted`.
    pub(super) fn at_least(
        name: &'static str,
        found: u64,
        wanted: u64,
        hint: impl Into<String>,
    ) -> Self {
        let value = if found == u64::MAX { "unlimited".to_owned() } else { found.to_string() };
        if found >= wanted { Self::ok(name, value) } else { Self::warn(name, value, hint) }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "health": match self.health {
                Health::Ok => "ok",
                Health::Missing => "missing",
                Health::Warn => "warn",
                Health::Fail => "fail",
            },
            "hint": self.hint,
            "install": self.install,
        })
    }
}
