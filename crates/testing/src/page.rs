//! Pages of `docs`, whose examples tests run.

use crate::tree::workspace;

/// A page of the documentation.
pub struct Page(String);

impl Page {
    /// The page at a path below `docs`.
    ///
    /// # Panics
    /// If there is none.
    pub fn read(path: &str) -> Self {
        let path = workspace().join("docs").join(path);
        Self(std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
    }

    /// The text of the example with this number (0 is the first) among those in a language.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn example(&self, language: &str, number: usize) -> &str {
        let fence = format!("\n```{language}\n");
        let mut examples = self.0.split(&fence).skip(1);
        let example = examples.nth(number).and_then(|rest| rest.split("\n```").next());
        example.unwrap_or_else(|| panic!("no example {number} in {language}"))
    }
}
