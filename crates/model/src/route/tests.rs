use std::cmp::Ordering;

use super::*;

fn route(text: &str) -> Route {
    Route::parse(text).unwrap()
}

fn table(routes: &[&str]) -> RouteTable<usize> {
    let routes = routes.iter().enumerate().map(|(i, text)| (route(text), i)).collect();
    RouteTable::new(routes).unwrap()
}

/// The route that answers, its parameters and the rest, as text.
fn find(routes: &[&str], path: &str) -> String {
    let table = table(routes);
    let Some(found) = table.find(path) else {
        return "none".to_owned();
    };
    let params: Vec<_> =
        found.params.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let rest = found.rest.map(|rest| format!(" rest={rest:?}")).unwrap_or_default();
    format!("{}{}{rest}", routes[*found.value], params.concat())
}

#[test]
fn exact_routes() {
    assert_eq!(find(&["/foo", "/foo/bar"], "/foo"), "/foo");
    assert_eq!(find(&["/foo", "/foo/bar"], "/foo/bar/"), "/foo/bar");
    assert_eq!(find(&["/foo/"], "/foo"), "/foo/");
    assert_eq!(find(&["/foo", "/foo/bar"], "/foobar"), "none");
    assert_eq!(find(&["/foo/bar"], "/foo//bar"), "none");
    assert_eq!(find(&["foo"], "/foo"), "foo");
    assert_eq!(find(&["/"], "/"), "/");
    assert_eq!(find(&["/"], "/a"), "none");
    assert_eq!(find(&["/.well-known/x.y"], "/.well-known/x.y"), "/.well-known/x.y");
}

#[test]
fn trailing_wildcards() {
    for (route, path, expected) in [
        ("/...", "/", "/... rest=\"/\""),
        ("/...", "", "/... rest=\"\""),
        ("/...", "/a/b", "/... rest=\"/a/b\""),
        ("/test/...", "/test", "/test/... rest=\"\""),
        ("/test/...", "/test/", "/test/... rest=\"/\""),
        ("/test/...", "/test/hello/", "/test/... rest=\"/hello/\""),
        ("/test/...", "/test/hello//", "/test/... rest=\"/hello/\""),
        ("/test/...", "/test//x", "/test/... rest=\"//x\""),
        ("/test/...", "//test/x", "/test/... rest=\"/x\""),
        ("/test/...", "/testing", "none"),
        ("/test/*", "/test/a", "/test/* rest=\"/a\""),
    ] {
        assert_eq!(find(&[route], path), expected, "{route} {path}");
    }
}

#[test]
fn parameters() {
    assert_eq!(find(&["/1/:two/3"], "/1/2/3"), "/1/:two/3 two=2");
    assert_eq!(find(&["/1/:two/..."], "/1/2/3/4"), "/1/:two/... two=2 rest=\"/3/4\"");
    assert_eq!(find(&["/x/:p"], "/x"), "none");
    assert_eq!(find(&["/x/:p"], "/x/"), "none");
    assert_eq!(find(&["/x/:p"], "/x/%2F"), "/x/:p p=%2F");
    assert_eq!(find(&["/x/:p/y"], "/x//y"), "/x/:p/y p=");
    assert_eq!(find(&["/:a.json"], "/x.json"), "/:a.json a=x");
    assert_eq!(find(&["/:a.json"], "/x.y.json"), "none");
    assert_eq!(find(&["/v.:minor"], "/v.1.2"), "/v.:minor minor=1.2");
    assert_eq!(find(&["/:a.:b"], "/x.y.z"), "/:a.:b a=x b=y.z");
    assert_eq!(find(&["/a:b"], "/a:b"), "/a:b");
}

#[test]
fn the_most_specific_route_answers() {
    let routes = ["/...", "/:a", "/x", "/x/...", "/:a/y", "/x/:b", "/:a.json"];
    assert_eq!(find(&routes, "/x"), "/x");
    assert_eq!(find(&routes, "/z"), "/:a a=z");
    assert_eq!(find(&routes, "/z.json"), "/:a.json a=z");
    assert_eq!(find(&routes, "/x/y"), "/x/:b b=y");
    assert_eq!(find(&routes, "/x/y/z"), "/x/... rest=\"/y/z\"");
    assert_eq!(find(&routes, "/z/y"), "/:a/y a=z");
    assert_eq!(find(&routes, "/z/w"), "/... rest=\"/z/w\"");
}

#[test]
fn duplicates_are_found() {
    for (first, second) in [
        ("/a", "/a/"),
        ("/a", "a"),
        ("/:a", "/:b"),
        ("/...", "/*"),
        ("/a//b", "/a/b"),
        ("/:a.x", "/:b.x"),
    ] {
        let routes = vec![(route(first), 0), (route(second), 1)];
        let duplicate = RouteTable::new(routes).unwrap_err();
        assert_eq!((duplicate.first_index, duplicate.second_index), (0, 1));
        assert!(route(first).same_paths(&route(second)), "{first} {second}");
    }
    assert!(!route("/a").same_paths(&route("/a/...")));
    assert!(!route("/:a.x").same_paths(&route("/:a.y")));
}

#[test]
fn bases() {
    let based = Route::parse_with_base("/base/", "/foo/...").unwrap();
    assert_eq!(
        (based.base(), based.raw(), based.full().as_str()),
        ("/base", "/foo/...", "/base/foo/...")
    );
    let table = RouteTable::new(vec![(based, ())]).unwrap();
    assert_eq!(table.find("/base/foo/x").unwrap().rest, Some("/x"));
    assert!(table.find("/foo/x").is_none());
    let root = Route::parse_with_base("/", "/").unwrap();
    assert_eq!((root.base(), root.full().as_str(), root.to_string().as_str()), ("", "", "/"));
    assert_eq!(Route::stem("/base/foo/..."), "/base/foo");
}

#[test]
fn malformed_routes_are_refused() {
    for text in [
        "/.../a", "/*/a", "/*name", "/a...", "/:", "/:/a", "/:a/:a", "/a?b", "/a b", "/a#b", "/x.:",
    ] {
        assert!(Route::parse(text).is_err(), "{text}");
    }
    assert!(Route::parse(&"/a".repeat(1000)).is_err());
}

/// Xorshift: random enough, and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn path(&mut self, words: &[&str], bound: usize) -> String {
        let count = self.below(bound);
        (0..count).map(|_| format!("/{}", words[self.below(words.len())])).collect()
    }
}

/// The specification: whether `route` matches, by comparing it segment by segment.
fn matches(route: &Route, path: &str) -> bool {
    let path = path.trim_matches('/');
    let parts: Vec<_> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
    let enough = if route.is_trailing() {
        parts.len() >= route.segments().len()
    } else {
        parts.len() == route.segments().len()
    };
    enough
        && route.segments().iter().zip(&parts).all(|(segment, part)| match segment {
            Segment::Literal(text) => text == part,
            Segment::Param(_) => true,
            // Each name but the last takes the text before one dot.
            Segment::Mixed(pieces) => mixed_matches(pieces, part),
        })
}

fn mixed_matches(pieces: &[Piece], part: &str) -> bool {
    match pieces.split_first() {
        None => part.is_empty(),
        Some((Piece::Literal(text), rest)) => {
            part.strip_prefix(text.as_str()).is_some_and(|part| mixed_matches(rest, part))
        }
        Some((Piece::Param(_), [])) => !part.is_empty(),
        Some((Piece::Param(_), rest)) => {
            part.find('.').is_some_and(|dot| mixed_matches(rest, &part[dot..]))
        }
    }
}

#[test]
fn the_tree_agrees_with_the_specification() {
    let words = ["a", "b", "ab", ":x", ":y", "a.b", ":x.b", "a.:y", ":x.:y", ".:x", "..:y"];
    let parts = ["a", "b", "ab", "a.b", "b.a", ".b", "..b", "", "a.b.a"];
    let mut random = Random(42);
    for _ in 0..4000 {
        let mut routes: Vec<Route> = Vec::new();
        for _ in 0..=random.below(8) {
            let mut text = random.path(&words, 5);
            if random.below(3) == 0 {
                text.push_str("/...");
            }
            if let Ok(parsed) = Route::parse(&text)
                && !routes.iter().any(|known| known.same_paths(&parsed))
            {
                routes.push(parsed);
            }
        }
        let table =
            RouteTable::new(routes.iter().map(|route| (route.clone(), ())).collect()).unwrap();
        for _ in 0..10 {
            let mut path = random.path(&parts, 6);
            if random.below(3) == 0 {
                path.push('/');
            }
            let best = routes.iter().filter(|route| matches(route, &path)).reduce(|best, next| {
                if next.precedence(best) == Ordering::Less { next } else { best }
            });
            let found = table.find(&path).map(|found| found.route);
            assert_eq!(found, best, "{path} among {routes:?}");
        }
    }
}
