//! What exports make which shape.

use dayfly_forge::inspect::{InterfaceName, ItemKind, World};
use dayfly_forge::{ShapeError, detect_shape, shapes};
use dayfly_model::HandlerShape::{self, *};

fn world(exports: &[&str]) -> World {
    let exports = exports.iter().map(|raw| InterfaceName::parse(raw, ItemKind::Instance)).collect();
    World { imports: Vec::new(), exports }
}

fn detect(export: &str) -> Option<HandlerShape> {
    detect_shape(&world(&[export])).ok()
}

#[test]
fn every_patch_version_is_one_shape() {
    for patch in 0..=12 {
        let at = |interface: &str| format!("{interface}@0.2.{patch}");
        assert_eq!(detect(&at("wasi:http/incoming-handler")), Some(Http02));
        assert_eq!(detect(&at("wasi:cli/run")), Some(Command02));
    }
    assert_eq!(detect("wasi:http/handler@0.3.0"), Some(Http03));
    assert_eq!(detect("wasi:http/handler@0.3.7"), Some(Http03));
    assert_eq!(detect("wasi:http/handler@0.3.0-rc-2026-03-15"), Some(Http03));
    assert_eq!(detect("wasi:cli/run@0.3.0"), Some(Command03));
}

#[test]
fn release_candidates_of_2023_are_of_the_release() {
    let at = |version: &str| detect(&format!("wasi:http/incoming-handler@{version}"));
    assert_eq!(at("0.2.0-rc-2023-10-18"), Some(Http02));
    assert_eq!(at("0.2.0-rc-2023-11-10"), Some(Http02));
    assert_eq!(at("0.2.0+rc.2023.11.10"), Some(Http02));
    assert_eq!(at("0.2.0-rc-2023-12-05"), None);
    assert_eq!(at("0.3.0"), None);
    assert_eq!(at("1.0.0"), None);
}

#[test]
fn spins_handler_has_no_version() {
    assert_eq!(detect("fermyon:spin/inbound-http"), Some(SpinHttp));
    assert_eq!(detect("fermyon:spin/inbound-http@2.0.0"), Some(SpinHttp));
}

#[test]
fn of_several_handlers_the_first_in_the_documented_order_is_taken() {
    let all = [
        "wasi:cli/run@0.2.6",
        "wasi:cli/run@0.3.0",
        "fermyon:spin/inbound-http",
        "wasi:http/incoming-handler@0.2.0-rc-2023-10-18",
        "wasi:http/incoming-handler@0.2.0-rc-2023-11-10",
        "wasi:http/incoming-handler@0.2.6",
        "wasi:http/incoming-handler@0.2.0",
        "wasi:http/handler@0.3.0",
    ];
    let order = [Http03, Http02, SpinHttp, Command03, Command02];
    assert_eq!(shapes(&world(&all)), order);
}

#[test]
fn only_instances_are_handlers() {
    let exports = vec![InterfaceName::parse("wasi:cli/run@0.2.0", ItemKind::Component)];
    assert!(detect_shape(&World { imports: Vec::new(), exports }).is_err());
}

#[test]
fn no_handler_says_what_is_there_and_what_would_do() {
    let none = detect_shape(&world(&["cats:whiskers/purr@1.0.0", "meow"])).expect_err("no handler");
    assert_eq!(
        none.to_string(),
        "the component exports only `cats:whiskers/purr@1.0.0`, `meow`, none of which is a handler"
    );
    assert!(none.hint().is_some_and(|hint| hint.contains("`wasi:http/handler@0.3`")));
    assert_eq!(detect_shape(&world(&[])), Err(ShapeError::Empty));
    let version = detect_shape(&world(&["wasi:http/handler@0.4.0"])).expect_err("no such version");
    assert!(version.to_string().contains("`wasi:http/handler@0.4.0`, a version"), "{version}");
    let other = detect_shape(&world(&["spin:sqs/inbound-sqs@1.0.0"])).expect_err("no sqs");
    assert!(matches!(other, ShapeError::OtherTrigger { .. }), "{other}");
}

#[test]
fn handlers_of_events_are_known() {
    assert_eq!(detect("fermyon:spin/inbound-redis"), Some(SpinRedis));
    assert_eq!(detect("fermyon:spin/inbound-redis@2.0.0"), Some(SpinRedis));
    assert_eq!(detect("spin:redis/inbound-redis@3.0.0"), Some(SpinRedis3));
    assert_eq!(detect("spin:redis/inbound-redis@4.0.0"), None);
    let exports = vec![InterfaceName::parse("handle-cron-event", ItemKind::Function)];
    assert_eq!(shapes(&World { imports: Vec::new(), exports }), [SpinCron]);
}

#[test]
fn names_come_apart() {
    let name = InterfaceName::parse("wasi:http/types@0.3.0-rc-2026-03-15", ItemKind::Instance);
    assert_eq!((&*name.namespace, &*name.package, &*name.interface), ("wasi", "http", "types"));
    assert_eq!(
        name.version.map(|version| version.to_string()).as_deref(),
        Some("0.3.0-rc-2026-03-15")
    );
    let plain = InterfaceName::parse("transform", ItemKind::Function);
    assert_eq!((&*plain.namespace, &*plain.interface), ("", "transform"));
    assert_eq!(plain.version, None);
    for odd in ["", "@", ":/@", "a:b", "a:b/", "url=<https://a:b/c@1.0.0>", "a@b@c"] {
        assert_eq!(InterfaceName::parse(odd, ItemKind::Instance).raw, odd);
    }
}
