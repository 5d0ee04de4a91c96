//! Which process a tenant's guests run in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which process a tenant's guests run in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// The one that serves all tenants which ask for nothing else.
    #[default]
    Shared,
    /// One of its own.
    OwnProcess,
}

/// A text is no isolation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `shared` nor `own-process`")]
pub struct IsolationError(String);

impl Isolation {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Shared, Self::OwnProcess];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::OwnProcess => "own-process",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Isolation {
    type Err = IsolationError;

    fn from_str(text: &str) -> Result<Self, IsolationError> {
        let found = Self::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| IsolationError(text.to_owned()))
    }
}

impl TryFrom<String> for Isolation {
    type Error = IsolationError;

    fn try_from(text: String) -> Result<Self, IsolationError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_have_one_name_everywhere() {
        for it in Isolation::ALL {
            assert_eq!(it.as_str().parse(), Ok(it));
            assert_eq!(serde_json::to_value(it).unwrap(), it.as_str());
        }
        assert!("own".parse::<Isolation>().unwrap_err().to_string().contains("`own-process`"));
    }
}
