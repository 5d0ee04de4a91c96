//! Routes: which paths a trigger answers on, by Spin's rules.
//!
//! A route is a path of segments. A segment is literal text, `:name` for any one segment, or a
//! mix such as `:name.json`, in which a `:name` before a dot ends at the first dot. A route that
//! ends in `/...` covers everything below it and the place itself. Slashes at either end of a
//! route or a path play no part. Nothing is percent-decoded and letters' case counts.
//!
//! Compared with Spin's own router at random, every route without a mixed segment leads to the
//! same answer. Spin orders mixed ones by a comparison that contradicts itself, so that what
//! answers may hang on the manifest's order; here the order of [`Route::precedence`] holds.

mod table;

use std::cmp::Ordering;
use std::fmt;

pub use table::{DuplicateRoute, RouteMatch, RouteTable};

/// Bounds of a route; the matcher's tree is as deep as a route has segments.
const MAX_BYTES: usize = 4096;
const MAX_SEGMENTS: usize = 128;

/// A parsed route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    base: String,
    raw: String,
    segments: Vec<Segment>,
    trailing: bool,
}

/// One segment of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any one segment, by this name.
    Param(String),
    /// Text and names mixed: at least two pieces.
    Mixed(Vec<Piece>),
}

/// A piece of a mixed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Literal(String),
    /// Any text up to the next dot, or to the segment's end for the last piece.
    Param(String),
}

/// Why a route is malformed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A wildcard that is not the end.
    #[error("route `{0}` has a wildcard before its end")]
    WildcardInside(String),
    /// A wildcard with more text in its segment.
    #[error("route `{route}` has `{segment}`, which only looks like a wildcard")]
    WildcardNamed {
        /// The route.
        route: String,
        /// The segment.
        segment: String,
    },
    /// A `:` alone.
    #[error("route `{0}` has a `:` without a name")]
    UnnamedParam(String),
    /// The same name twice.
    #[error("route `{route}` uses the name `:{name}` twice")]
    RepeatedParam {
        /// The route.
        route: String,
        /// The name.
        name: String,
    },
    /// More segments or bytes than a route may have.
    #[error("the route is longer than {MAX_BYTES} bytes or {MAX_SEGMENTS} segments")]
    TooLong,
    /// A character that no path contains.
    #[error("route `{route}` contains {character:?}, which no path does")]
    Unmatchable {
        /// The route.
        route: String,
        /// The character.
        character: char,
    },
}

impl RouteError {
    /// How to mend it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::WildcardInside(_) => {
                "`/...` may only end a route; `/:name` stands for one segment"
            }
            Self::WildcardNamed { .. } => {
                "end the route in `/...` for everything below it, or write `/:name` for one segment"
            }
            Self::UnnamedParam(_) => "write a name after the colon, for example `/users/:id`",
            Self::RepeatedParam { .. } => "give each part of the path a name of its own",
            Self::TooLong => "end the route in `/...` and look at the rest in the component",
            Self::Unmatchable { .. } => {
                "routes are matched against the path alone, percent-encoded as it was sent"
            }
        }
    }
}

impl Route {
    /// Parses a route. One without a leading slash is given one.
    ///
    /// # Errors
    /// The route is malformed.
    pub fn parse(route: &str) -> Result<Self, RouteError> {
        Self::parse_with_base("/", route)
    }

    /// Parses a route below a base path, as `[application.trigger.http] base` states it.
    ///
    /// # Errors
    /// The base or the route is malformed.
    pub fn parse_with_base(base: &str, raw: &str) -> Result<Self, RouteError> {
        let raw = absolute(raw);
        let base = match absolute(base) {
            base if base == "/" => String::new(),
            base => base.strip_suffix('/').unwrap_or(&base).to_owned(),
        };
        let full = format!("{base}{raw}");
        if full.len() > MAX_BYTES || full.matches('/').count() > MAX_SEGMENTS {
            return Err(RouteError::TooLong);
        }
        if let Some(character) =
            full.chars().find(|c| matches!(c, '?' | '#') || c.is_whitespace() || c.is_control())
        {
            return Err(RouteError::Unmatchable { route: full, character });
        }
        let stem = full.strip_suffix("/...").or_else(|| full.strip_suffix("/*"));
        let trailing = stem.is_some();
        let mut segments = Vec::new();
        for segment in stem.unwrap_or(&full).split('/').filter(|s| !s.is_empty()) {
            segments.push(parse_segment(&full, segment)?);
        }
        let route = Self { base, raw, segments, trailing };
        route.check_names(&full)?;
        Ok(route)
    }

    fn check_names(&self, full: &str) -> Result<(), RouteError> {
        let names: Vec<_> = self.params().collect();
        match names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            None => Ok(()),
            Some((_, name)) => {
                Err(RouteError::RepeatedParam { route: full.to_owned(), name: (*name).to_owned() })
            }
        }
    }

    /// The base path without a trailing slash: empty for `/`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The route as the manifest spells it, with a leading slash and without the base.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The route with its base.
    #[must_use]
    pub fn full(&self) -> String {
        let raw = self.raw.strip_suffix('/').unwrap_or(&self.raw);
        format!("{}{raw}", self.base)
    }

    /// The segments, the base's included, without the trailing wildcard.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether the route ends in `/...`.
    #[must_use]
    pub fn is_trailing(&self) -> bool {
        self.trailing
    }

    /// The names in the route, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flat_map(|segment| {
            let (whole, pieces) = match segment {
                Segment::Literal(_) => (None, &[][..]),
                Segment::Param(name) => (Some(name.as_str()), &[][..]),
                Segment::Mixed(pieces) => (None, pieces.as_slice()),
            };
            whole.into_iter().chain(pieces.iter().filter_map(|piece| match piece {
                Piece::Literal(_) => None,
                Piece::Param(name) => Some(name.as_str()),
            }))
        })
    }

    /// `route` without a trailing wildcard, as Spin hands it to guests.
    #[must_use]
    pub fn stem(route: &str) -> &str {
        route.strip_suffix("/...").unwrap_or(route)
    }

    /// Whether both routes match the same paths, so that one of them could never answer.
    #[must_use]
    pub fn same_paths(&self, other: &Self) -> bool {
        self.shape() == other.shape()
    }

    /// The route without its names and without what plays no part: the same text for routes that
    /// match the same paths. A `:` that begins a section is always a name's, so no text looks
    /// like one.
    #[must_use]
    pub fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => shape.push_str(text),
                Segment::Param(_) => shape.push(':'),
                Segment::Mixed(pieces) => pieces.iter().for_each(|piece| match piece {
                    Piece::Literal(text) => shape.push_str(text),
                    Piece::Param(_) => shape.push(':'),
                }),
            }
        }
        if self.trailing {
            shape.push_str("/...");
        }
        shape
    }

    /// Which of two routes answers a path that both match: the lesser one. Segment by segment,
    /// text comes before a mix, a mix before a name, and a name before the trailing wildcard; of
    /// two that agree so far, the one that ends there without a wildcard comes first.
    #[must_use]
    pub fn precedence(&self, other: &Self) -> Ordering {
        let differing = self
            .segments
            .iter()
            .zip(&other.segments)
            .map(|(mine, theirs)| mine.precedence(theirs))
            .find(|order| *order != Ordering::Equal);
        // A route with more segments is more specific than the wildcard that covers them.
        differing
            .unwrap_or_else(|| match (self.trailing, other.trailing) {
                (true, true) => other.segments.len().cmp(&self.segments.len()),
                (mine, theirs) => mine.cmp(&theirs),
            })
            .then_with(|| self.segments.len().cmp(&other.segments.len()))
    }
}

impl Segment {
    fn precedence(&self, other: &Self) -> Ordering {
        let rank = |segment: &Self| match segment {
            Self::Literal(_) => 0,
            Self::Mixed(_) => 1,
            Self::Param(_) => 2,
        };
        match (self, other) {
            (Self::Mixed(mine), Self::Mixed(theirs)) => mixed_precedence(mine, theirs),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

/// Text before names, long text before short; of two that agree, the longer one first, because it
/// says more.
fn mixed_precedence(mine: &[Piece], theirs: &[Piece]) -> Ordering {
    let text = |piece: &Piece| match piece {
        Piece::Literal(text) => text.len(),
        Piece::Param(_) => 0,
    };
    mine.iter()
        .zip(theirs)
        .map(|(mine, theirs)| text(theirs).cmp(&text(mine)))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or_else(|| theirs.len().cmp(&mine.len()))
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.full() {
            full if full.is_empty() => f.write_str("/"),
            full => f.write_str(&full),
        }
    }
}

fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

fn parse_segment(route: &str, segment: &str) -> Result<Segment, RouteError> {
    if segment == "*" || segment == "..." {
        return Err(RouteError::WildcardInside(route.to_owned()));
    }
    if segment.starts_with('*') || segment.ends_with("...") {
        return Err(RouteError::WildcardNamed {
            route: route.to_owned(),
            segment: segment.to_owned(),
        });
    }
    let mut pieces = Vec::new();
    let mut text = String::new();
    for (i, section) in segment.split('.').enumerate() {
        if i > 0 {
            text.push('.');
        }
        match section.strip_prefix(':') {
            None => text.push_str(section),
            Some("") => return Err(RouteError::UnnamedParam(route.to_owned())),
            Some(name) => {
                push_text(&mut pieces, &mut text);
                pieces.push(Piece::Param(name.to_owned()));
            }
        }
    }
    push_text(&mut pieces, &mut text);
    Ok(match <[Piece; 1]>::try_from(pieces) {
        Ok([Piece::Literal(text)]) => Segment::Literal(text),
        Ok([Piece::Param(name)]) => Segment::Param(name),
        Err(pieces) => Segment::Mixed(pieces),
    })
}

fn push_text(pieces: &mut Vec<Piece>, text: &mut String) {
    if !text.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(text)));
    }
}

#[cfg(test)]
mod tests;
