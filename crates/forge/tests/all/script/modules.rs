//! What scripts in JavaScript import.

use dayfly_forge::script::Language::JavaScript;

use super::running::App;

const APP: &str = r#"
    import esm, { inner } from "esm";
    import deep from "esm/deep/a";
    import both from "both";
    import scoped from "@scope/name";
    import { lib } from "./lib";
    import data from "./data.json" with { type: "json" };
    import same from "./data";
    const failed = {};
    for (const name of ["old", "esm/hidden", "nothing", "./nothing.js", "./typed", "node:fs"]) {
      try { await import(name) } catch (error) { failed[name] = error.message }
    }
    export default {
      fetch: () => Response.json({ esm, inner, deep, both, scoped, lib, data, same, failed }),
    };
"#;

#[test]
fn packages_files_and_json_are_imported() {
    let app = App::new(
        JavaScript,
        &[
            ("app.js", APP),
            ("lib/index.js", "export const lib = 'lib'"),
            ("data.json", "[1]"),
            ("typed.ts", "export const a: number = 1"),
            (
                "node_modules/esm/package.json",
                r##"{ "type": "module", "imports": { "#inner": "./inner.js" }, "exports": {
                ".": { "require": "./none.cjs", "import": "./index.js" }, "./deep/*": "./deep-*.js" } }"##,
            ),
            ("node_modules/esm/index.js", "export default 'esm'; export { inner } from '#inner'"),
            ("node_modules/esm/inner.js", "export const inner = 'inner'"),
            ("node_modules/esm/deep-a.js", "export default 'deep'"),
            ("node_modules/both/package.json", r#"{ "main": "none.js", "module": "module" }"#),
            ("node_modules/both/module.js", "export default 'both'"),
            ("node_modules/@scope/name/package.json", "{}"),
            (
                "node_modules/@scope/name/index.js",
                "import esm from 'esm'; export default `scoped ${esm}`",
            ),
            ("node_modules/old/package.json", r#"{ "main": "old" }"#),
            ("node_modules/old/old.js", "module.exports = 1"),
        ],
    );
    let answer = app.get("/");
    let found: serde_json::Value = serde_json::from_str(answer.body()).expect("it is JSON");
    let failed = |name: &str| found["failed"][name].as_str().unwrap_or_default().to_owned();
    let values = ["esm", "inner", "deep", "both", "scoped", "lib", "data", "same"];
    let values: Vec<_> = values.iter().map(|name| found[name].to_string()).collect();
    let expected = [
        r#""esm""#,
        r#""inner""#,
        r#""deep""#,
        r#""both""#,
        r#""scoped esm""#,
        r#""lib""#,
        "[1]",
        "[1]",
    ];
    assert_eq!(values, expected);
    let old = failed("old");
    assert!(
        old.starts_with("`old` is a CommonJS module (`/app/node_modules/old/old.js`)"),
        "{old}"
    );
    assert!(old.contains("bundle it with esbuild or rolldown"), "{old}");
    assert_eq!(failed("esm/hidden"), "the package of `esm/hidden` does not export that");
    assert!(failed("nothing").contains("there is no package `nothing`"), "{found}");
    assert!(failed("./nothing.js").contains("there is no such file"), "{found}");
    assert!(failed("./typed").contains("`/app/typed.ts` is TypeScript"), "{found}");
    assert!(failed("node:fs").contains("a module of Node.js"), "{found}");
}

#[test]
fn a_script_of_another_module_system_says_what_to_do() {
    let error = App::new(JavaScript, &[("app.js", "const fs = require('fs')")]).error();
    assert!(error.contains("require") && error.contains("bundle CommonJS with esbuild"), "{error}");
    assert!(error.contains("/app/app.js:1"), "{error}");
}
