//! How a component's code is made: the values of `--engine`.

use std::fmt;
use std::str::FromStr;

/// How a component's code is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// From the artifact cache when it is there, else Cranelift, and into the cache; while that
    /// takes long, a server answers with code of [`Engine::baseline`](crate::Engine::baseline).
    #[default]
    Auto,
    /// Cranelift at each start; neither reads nor writes the artifact cache.
    Jit,
    /// Cranelift through the artifact cache.
    Aot,
    /// Winch: compiles some ten times faster, to slower code; it knows fewer WebAssembly proposals.
    Baseline,
    /// Pulley: portable byte code that is interpreted; no native code at all.
    Interpreter,
}

impl Mode {
    /// All modes, in the order in which help texts list them.
    pub const ALL: [Mode; 5] =
        [Mode::Auto, Mode::Jit, Mode::Aot, Mode::Baseline, Mode::Interpreter];

    /// The name that [`FromStr`] reads back.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Jit => "jit",
            Mode::Aot => "aot",
            Mode::Baseline => "baseline",
            Mode::Interpreter => "interpreter",
        }
    }

    /// Whether artifacts of this mode are kept in the artifact cache.
    pub const fn uses_cache(self) -> bool {
        !matches!(self, Mode::Jit)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine `{0}`: expected one of auto, jit, aot, baseline, interpreter")]
pub struct ParseModeError(String);

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Mode, ParseModeError> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| ParseModeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(
            "JIT".parse::<Mode>().unwrap_err().to_string(),
            "unknown engine `JIT`: expected one of auto, jit, aot, baseline, interpreter"
        );
    }
}
