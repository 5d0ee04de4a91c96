//! `dayfly call`: names, arguments and results in WAVE and JSON, and how calls end.

use super::{Written, complained, guest, printed};

fn typed() -> Written {
    Written::new("typed.wat", include_str!("typed.wat"))
}

#[tokio::test]
async fn without_a_function_those_that_can_be_called_are_listed() {
    let list = printed(&["call", &typed().path()], 0).await;
    insta::assert_snapshot!(list, @r"
    acme:tools/math@0.1.0#add: func(a: u32, b: u32) -> u32
    acme:tools/math@0.1.0#checked: func(number: u32) -> result<u32, u32>
    acme:tools/other@0.1.0#add: func(a: u32, b: u32) -> u32
    echo: func(text: string) -> string
    fail: func()
    spin: func()
    ");
}

#[tokio::test]
async fn what_a_guest_prints_moves_no_cursor() {
    let say = Written::new("say.wat", include_str!("say.wat"));
    let printed = complained(&["call", &say.path(), "say"], 0).await;
    assert_eq!(printed.trim_end(), "before\\u{1b}[2Jafter");
}

#[tokio::test]
async fn what_takes_a_resource_is_listed_for_machines_alone() {
    let path = guest("rust-hello");
    assert_eq!(printed(&["call", &path], 0).await, "");
    let list = printed(&["call", &path, "--json"], 0).await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["function"], "handle");
    assert_eq!(list[0]["signature"], "func(request: resource, response-out: resource)");
    assert_eq!(list[0]["callable"], false);
    let complaint = complained(&["call", &path, "handle"], 2).await;
    assert!(complaint.contains("takes or gives a resource"), "{complaint}");
}

#[tokio::test]
async fn a_function_goes_by_any_name_that_means_it_alone() {
    let typed = typed();
    for name in ["math#add", "acme:tools/math#add", "acme:tools/other@0.1.0#add"] {
        assert_eq!(printed(&["call", &typed.path(), name, "40", "2"], 0).await, "42\n", "{name}");
    }
    let complaint = complained(&["call", &typed.path(), "add", "40", "2"], 2).await;
    insta::assert_snapshot!(complaint, @r"
    error: `add` means more than one function
    hint: name one of `acme:tools/math@0.1.0#add`, `acme:tools/other@0.1.0#add`
    ");
    let complaint = complained(&["call", &typed.path(), "subtract"], 2).await;
    assert!(complaint.contains("exports no function `subtract`"), "{complaint}");
    assert!(complaint.contains("`acme:tools/math@0.1.0#add`"), "{complaint}");
}

#[tokio::test]
async fn a_call_is_one_word_too() {
    let typed = typed();
    assert_eq!(printed(&["call", &typed.path(), "math#add(40, 2)"], 0).await, "42\n");
    assert_eq!(printed(&["call", &typed.path(), r#"echo("a\tb")"#], 0).await, "\"a\\tb\"\n");
    let complaint = complained(&["call", &typed.path(), "math#add(40, 2)", "3"], 2).await;
    assert!(complaint.contains("`3` is one too many"), "{complaint}");
}

#[tokio::test]
async fn a_text_needs_no_quotes() {
    let typed = typed();
    assert_eq!(printed(&["call", &typed.path(), "echo", "a text"], 0).await, "\"a text\"\n");
    assert_eq!(printed(&["call", &typed.path(), "echo", r#""quoted""#], 0).await, "\"quoted\"\n");
    assert_eq!(printed(&["call", &typed.path(), "echo", ""], 0).await, "\"\"\n");
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_a_misuse() {
    let typed = typed();
    let complaint = complained(&["call", &typed.path(), "math#add", "1", "-2"], 2).await;
    insta::assert_snapshot!(complaint, @r"
    error: failed to read `b`: invalid value, near `-2`
    hint: `add` is a func(a: u32, b: u32) -> u32
    ");
    let complaint = complained(&["call", &typed.path(), "math#add", "1"], 2).await;
    assert!(complaint.contains("`math#add` takes 2 arguments, and got 1"), "{complaint}");
    for call in ["math#add(1, x)", "math#add(1", "math#add()", "math#add(1, 2) 3", "math#add(((("] {
        let complaint = complained(&["call", &typed.path(), call], 2).await;
        assert!(complaint.contains("failed to read the arguments"), "{call}: {complaint}");
    }
    let deep = format!("echo({})", "[".repeat(100_000));
    complained(&["call", &typed.path(), &deep], 2).await;
}

#[tokio::test]
async fn an_err_is_a_result_and_a_failure() {
    let typed = typed();
    assert_eq!(printed(&["call", &typed.path(), "checked", "3"], 0).await, "ok(3)\n");
    assert_eq!(printed(&["call", &typed.path(), "checked", "30"], 1).await, "err(30)\n");
    let json = printed(&["call", &typed.path(), "checked", "30", "--json"], 1).await;
    assert_eq!(json, "{\n  \"err\": 30\n}\n");
}

#[tokio::test]
async fn a_trap_and_a_limit_end_with_134() {
    let typed = typed();
    let complaint = complained(&["call", &typed.path(), "fail"], 134).await;
    assert!(complaint.contains("the guest trapped"), "{complaint}");
    assert!(complaint.contains("`unreachable` instruction"), "{complaint}");
    let complaint = complained(&["call", &typed.path(), "spin", "--limit", "cpu=50ms"], 134).await;
    assert!(complaint.contains("CPU time of 50ms"), "{complaint}");
    let complaint = complained(&["call", &typed.path(), "spin", "--limit", "time=50ms"], 134).await;
    assert!(complaint.contains("did not end within its time of 50ms"), "{complaint}");
}

#[tokio::test]
async fn values_of_every_kind_go_in_and_out() {
    let path = guest("rust-typed");
    for (call, result) in [
        ("add(1, 2)", "3"),
        (r#"greet({name: "Ada"})"#, r#"ok("hello Ada")"#),
        (r#"greet({name: "Ada", age: some(36)})"#, r#"ok("hello Ada, 36")"#),
        ("areas([rectangle((2, 3)), nothing])", "[6, 0]"),
        ("sum([-1, 2, 9223372036854775806])", "9223372036854775807"),
        ("next(winter)", "spring"),
        ("invert({read})", "{write, execute}"),
        (r#"split("äb")"#, r#"some(('ä', "b"))"#),
        (r#"split("")"#, "none"),
        ("ping()", ""),
        ("version()", r#""0.1.0""#),
        ("double-later(21)", "42"),
    ] {
        let out = printed(&["call", &path, call], 0).await;
        assert_eq!(out.trim_end(), result, "{call}");
    }
    let json = printed(&["call", &path, "--json", r#"split("äb")"#], 0).await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json).unwrap(),
        serde_json::json!(["ä", "b"])
    );
    assert_eq!(printed(&["call", &path, "greet", r#"{name: ""}"#], 1).await, "err(\"whom?\")\n");
    let complaint = complained(&["call", &path, "math#fail", "for a reason"], 134).await;
    assert!(complaint.contains("for a reason"), "{complaint}");
}
