//! HTTP middleware: components that import and export a handler, each before the next.

use super::graph::Graph;
use super::{ComposeError, Composition, Instance, called_middleware, list};
use crate::inspect::{InterfaceName, ItemKind};
use crate::resolve::Location;
use crate::shape;
use dayfly_model::HandlerShape;

/// Puts the composition's middleware before `main`, and exports the handler of the outermost.
pub(super) fn stand_before(
    graph: &mut Graph,
    main: Instance,
    composition: &Composition<'_>,
    like: &Location<'_>,
) -> Result<(), ComposeError> {
    let mut next = main;
    let mut outermost = None;
    // The one that is called last is wired first.
    for (index, middleware) in composition.middleware.iter().enumerate().rev() {
        let part = called_middleware(index, middleware);
        let instance = composition.add(graph, &part, middleware.into(), like)?;
        outermost = Some(pass_on(graph, &instance, &next)?);
        next = instance;
    }
    outermost.map_or(Ok(()), |handler| graph.export(&next, &handler))
}

/// Lets middleware pass requests on to `next`; the name of the handler by which it takes them.
fn pass_on(
    graph: &mut Graph,
    middleware: &Instance,
    next: &Instance,
) -> Result<String, ComposeError> {
    let lacks = |lacks| ComposeError::NotMiddleware { part: middleware.called.clone(), lacks };
    let passes = handlers(graph.imports(middleware));
    let first = passes.first().ok_or_else(|| lacks("imports"))?;
    let takes = handlers(graph.exports(middleware));
    if takes.is_empty() {
        return Err(lacks("exports"));
    }
    let offered = handlers(graph.exports(next));
    let fitting = passes.iter().find_map(|(shape, import)| {
        let of_shape = |(other, _): &&(HandlerShape, String)| other == shape;
        let export = offered.iter().find(of_shape)?;
        let handler = takes.iter().find(of_shape)?;
        Some((import, &export.1, &handler.1))
    });
    let Some((import, export, handler)) = fitting else {
        let offered: Vec<String> = offered.into_iter().map(|(_, name)| name).collect();
        return Err(ComposeError::NotPassedOn {
            part: middleware.called.clone(),
            passes: first.1.clone(),
            next: next.called.clone(),
            takes: list(&offered),
        });
    };
    graph.connect(middleware, import, next, export)?;
    Ok(handler.clone())
}

/// The HTTP handlers among names, those of the newest version of WASI first.
fn handlers(names: Vec<String>) -> Vec<(HandlerShape, String)> {
    let mut found: Vec<_> = names
        .into_iter()
        .filter_map(|name| {
            let shape = shape::shape_of(&InterfaceName::parse(&name, ItemKind::Instance))?;
            matches!(shape, HandlerShape::Http02 | HandlerShape::Http03).then_some((shape, name))
        })
        .collect();
    found.sort_by_key(|(shape, _)| *shape != HandlerShape::Http03);
    found
}
