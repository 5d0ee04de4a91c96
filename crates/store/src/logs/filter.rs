//! Which lines of a log somebody wants to see.

use dayfly_model::platform::{LogLevel, LogLine, LogStream};

/// Which lines of a log; all, unless something is stated.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// Of this component.
    pub component: Option<String>,
    /// Of this stream.
    pub stream: Option<LogStream>,
    /// Of this level, or one that matters more; lines without a level are none of them.
    pub level: Option<LogLevel>,
    /// From this time on, as lines have it ([`LogLine::at`]).
    pub since: Option<String>,
    /// With this in their text, context or request's id, be it capital letters or not.
    pub search: Option<String>,
}

impl LogFilter {
    /// The same, ready to be held against lines.
    #[must_use]
    pub fn lowered(mut self) -> Self {
        self.search = self.search.map(|search| search.to_lowercase());
        self
    }

    /// Whether a line is one of those.
    pub(super) fn takes(&self, line: &LogLine) -> bool {
        self.component.as_ref().is_none_or(|component| *component == line.component)
            && self.stream.is_none_or(|stream| stream == line.stream)
            && self.level.is_none_or(|level| line.level.is_some_and(|own| own >= level))
            && !self.is_over(line)
            && self.search.as_deref().is_none_or(|search| has(line, search))
    }

    /// Whether a line is from before the time that is asked for.
    pub(super) fn is_over(&self, line: &LogLine) -> bool {
        self.since.as_ref().is_some_and(|since| line.at < *since)
    }
}

fn has(line: &LogLine, search: &str) -> bool {
    let texts = [Some(&line.text), line.context.as_ref(), line.request.as_ref()];
    texts.into_iter().flatten().any(|text| text.to_lowercase().contains(search))
}
