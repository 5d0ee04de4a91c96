//! The matcher: a tree of segments, walked from the most specific branch to the least.
//!
//! A look-up allocates only the list of parameters, and only when the route has some.

use std::collections::HashMap;

use super::{Piece, Route, Segment};

/// Routes and what each of them leads to.
#[derive(Debug, Clone)]
pub struct RouteTable<T> {
    routes: Box<[(Route, T)]>,
    root: Node,
}

/// Two routes that match the same paths.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("route `{first}` and route `{second}` match the same paths")]
pub struct DuplicateRoute {
    /// The route that came first.
    pub first: Route,
    /// The index of the first one.
    pub first_index: usize,
    /// The route that could never answer.
    pub second: Route,
    /// Its index.
    pub second_index: usize,
}

/// What a path led to.
#[derive(Debug, PartialEq, Eq)]
pub struct RouteMatch<'a, 'p, T> {
    /// The route that matched.
    pub route: &'a Route,
    /// What it leads to.
    pub value: &'a T,
    /// The names in the route and the text they stood for, in order.
    pub params: Vec<(&'a str, &'p str)>,
    /// What a trailing wildcard stood for, with its leading slash, and a trailing one if the path
    /// has it: `""` for the place itself. `None` for a route without one.
    pub rest: Option<&'p str>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    /// In order of precedence.
    mixed: Vec<(Vec<Piece>, Node)>,
    param: Option<Box<Node>>,
    /// The route that ends here.
    end: Option<usize>,
    /// The route whose wildcard begins here.
    trailing: Option<usize>,
}

/// A route's index, and the rest of the path where its wildcard begins.
type Found<'p> = (usize, Option<&'p str>);

impl<T> RouteTable<T> {
    /// Builds a table.
    ///
    /// # Errors
    /// Two of the routes match the same paths.
    pub fn new(routes: Vec<(Route, T)>) -> Result<Self, Box<DuplicateRoute>> {
        let mut root = Node::default();
        for (index, (route, _)) in routes.iter().enumerate() {
            let node = route.segments().iter().fold(&mut root, Node::child);
            let slot = if route.is_trailing() { &mut node.trailing } else { &mut node.end };
            if let Some(first) = slot.replace(index) {
                return Err(Box::new(DuplicateRoute {
                    first: routes[first].0.clone(),
                    first_index: first,
                    second: route.clone(),
                    second_index: index,
                }));
            }
        }
        Ok(Self { routes: routes.into(), root })
    }

    /// The routes, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&Route, &T)> {
        self.routes.iter().map(|(route, value)| (route, value))
    }

    /// The most specific route for `path`, which is the path alone, without a query.
    #[must_use]
    pub fn find<'a, 'p>(&'a self, path: &'p str) -> Option<RouteMatch<'a, 'p, T>> {
        let inner = path.trim_start_matches('/');
        let skipped = path.len() - inner.len();
        let inner = inner.trim_end_matches('/');
        let end = skipped + inner.len();
        let (index, rest) = self.root.walk((!inner.is_empty()).then_some(inner))?;
        let (route, value) = &self.routes[index];
        Some(RouteMatch {
            params: captures(route, inner),
            rest: route.is_trailing().then(|| {
                // With the slash before it, if the path has one there, and one behind.
                let start = match rest {
                    Some(rest) => (end - rest.len()).saturating_sub(1),
                    None if inner.is_empty() => end.saturating_sub(1),
                    None => end,
                };
                &path[start..path.len().min(end + 1)]
            }),
            route,
            value,
        })
    }
}

impl Node {
    fn child(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Literal(text) => self.literals.entry(text.as_str().into()).or_default(),
            Segment::Param(_) => self.param.get_or_insert_default(),
            Segment::Mixed(pieces) => self.mixed_child(pieces),
        }
    }

    fn mixed_child(&mut self, pieces: &[Piece]) -> &mut Self {
        let index = match self.mixed.iter().position(|(known, _)| same_pieces(known, pieces)) {
            Some(index) => index,
            None => {
                let before = |(known, _): &(Vec<Piece>, Self)| {
                    super::mixed_precedence(known, pieces).is_le()
                };
                let index = self.mixed.iter().take_while(|entry| before(entry)).count();
                self.mixed.insert(index, (pieces.to_vec(), Self::default()));
                index
            }
        };
        &mut self.mixed[index].1
    }

    /// Walks down the segments of `path`, `None` when all of them are used up.
    fn walk<'p>(&self, path: Option<&'p str>) -> Option<Found<'p>> {
        let Some(path) = path else {
            return self.end.or(self.trailing).map(|index| (index, None));
        };
        let (segment, next) = match path.split_once('/') {
            Some((segment, next)) => (segment, Some(next)),
            None => (path, None),
        };
        let literal = || self.literals.get(segment)?.walk(next);
        let mixed = || {
            let fitting = self.mixed.iter().filter(|(pieces, _)| fits(pieces, segment));
            fitting.filter_map(|(_, node)| node.walk(next)).next()
        };
        // As in Spin, an empty segment has a name too; the ends of a path have none.
        let param = || self.param.as_ref()?.walk(next);
        literal()
            .or_else(mixed)
            .or_else(param)
            .or_else(|| self.trailing.map(|index| (index, Some(path))))
    }
}

fn same_pieces(mine: &[Piece], theirs: &[Piece]) -> bool {
    mine.len() == theirs.len()
        && mine.iter().zip(theirs).all(|pair| match pair {
            (Piece::Literal(mine), Piece::Literal(theirs)) => mine == theirs,
            (Piece::Param(_), Piece::Param(_)) => true,
            _ => false,
        })
}

/// Reads `segment` by `pieces`, reporting what each name stood for; whether it fits.
fn read<'a, 'p>(
    pieces: &'a [Piece],
    segment: &'p str,
    mut found: impl FnMut(&'a str, &'p str),
) -> bool {
    let mut rest = segment;
    for (i, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Literal(text) => match rest.strip_prefix(text.as_str()) {
                Some(after) => rest = after,
                None => return false,
            },
            Piece::Param(name) => {
                let length = match pieces.get(i + 1) {
                    None => rest.len(),
                    // Text behind a name begins with a dot.
                    Some(_) => rest.find('.').unwrap_or(rest.len()),
                };
                if rest.is_empty() {
                    return false;
                }
                found(name, &rest[..length]);
                rest = &rest[length..];
            }
        }
    }
    rest.is_empty()
}

fn fits(pieces: &[Piece], segment: &str) -> bool {
    read(pieces, segment, |_, _| {})
}

/// What the names of `route` stand for in a path that it matches.
fn captures<'a, 'p>(route: &'a Route, inner: &'p str) -> Vec<(&'a str, &'p str)> {
    let mut params = Vec::new();
    for (segment, text) in route.segments().iter().zip(inner.split('/')) {
        match segment {
            Segment::Literal(_) => {}
            Segment::Param(name) => params.push((name.as_str(), text)),
            Segment::Mixed(pieces) => {
                read(pieces, text, |name, value| params.push((name, value)));
            }
        }
    }
    params
}
