//! Lines of routes, and behind the first empty line a path: the table answers as each route by
//! itself does, and never with less than the whole path.
#![no_main]

use dayfly_model::route::{Route, RouteTable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (routes, path) = text.split_once("\n\n").unwrap_or((text, "/a/b"));
    let routes: Vec<Route> =
        routes.lines().take(64).filter_map(|line| Route::parse(line).ok()).collect();
    let alone: Vec<bool> = routes
        .iter()
        .map(|route| RouteTable::new(vec![(route.clone(), ())]).unwrap().find(path).is_some())
        .collect();
    let indexed = routes.iter().cloned().enumerate().map(|(index, route)| (route, index)).collect();
    let Ok(table) = RouteTable::new(indexed) else { return };
    let found = table.find(path);
    assert_eq!(found.is_some(), alone.contains(&true), "{text:?}");
    let Some(found) = found else { return };
    assert!(alone[*found.value], "{text:?}");
    for (other, matches) in routes.iter().zip(alone) {
        let better = matches && other.precedence(found.route).is_lt();
        assert!(!better, "{path:?} went to {} instead of {}", found.route.full(), other.full());
    }
});
