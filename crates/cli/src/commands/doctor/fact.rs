//! One fact, and whether it is a good one.

use serde_json::{Value, json};

/// Whether Dayfly runs well with a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Ok,
    /// It runs, less well than it could.
    Warn,
    /// It does not run.
    Fail,
}

/// One fact about the program or the machine.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) health: Health,
    /// What to do about it, or what it means.
    pub(super) hint: Option<String>,
}

impl Fact {
    pub(super) fn ok(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into(), health: Health::Ok, hint: None }
    }

    pub(super) fn warn(
        name: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name, value: value.into(), health: Health::Warn, hint: Some(hint.into()) }
    }

    pub(super) fn fail(
        name: &'static str,
        value: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { name, value: value.into(), health: Health::Fail, hint: Some(hint.into()) }
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
                Health::Warn => "warn",
                Health::Fail => "fail",
            },
            "hint": self.hint,
        })
    }
}
