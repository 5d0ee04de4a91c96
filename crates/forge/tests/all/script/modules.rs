//! What scripts in JavaScript import.

use dayfly_forge::script::Language::JavaScript;

use super::running::App;

const FILES: &str = r#"
    import { lib } from "./lib";
    import data from "./data.json" with { type: "json" };
    import same from "./data";
    const failed = {};
    for (const name of ["package", "./nothing.js", "./typed", "node:fs"]) {
      try { await import(name) } catch (error) { failed[name] = error.message }
    }
    export default { fetch: () => Response.json({ lib, data, same, failed }) };
"#;

#[test]
fn files_and_json_are_imported() {
    let app = App::new(
        JavaScript,
        &[
            ("app.js", FILES),
            ("lib/index.js", "export const lib = 'lib'"),
            ("data.json", "[1]"),
            ("typed.ts", "export const a: number = 1"),
        ],
    );
    let answer = app.get("/");
    let found: serde_json::Value = serde_json::from_str(answer.body()).expect("it is JSON");
    let failed = |name: &str| found["failed"][name].as_str().unwrap_or_default().to_owned();
    let values = ["lib", "data", "same"].map(|name| found[name].to_string());
    assert_eq!(values, [r#""lib""#, "[1]", "[1]"]);
    assert!(failed("package").contains("there is no folder `node_modules`"), "{found}");
    assert!(failed("./nothing.js").contains("there is no such file"), "{found}");
    assert!(failed("./typed").contains("`/app/typed.ts` is TypeScript"), "{found}");
    assert!(failed("node:fs").contains("a module of Node.js"), "{found}");
}

const PACKAGES: &str = r#"
    import esm, { inner } from "esm";
    import deep from "esm/deep/a";
    import both from "both";
    import scoped from "@scope/name";
    import old from "old";
    export default { fetch: () => Response.json([esm, inner, deep, both, scoped, old]) };
"#;

#[test]
fn packages_are_bundled() {
    let app = App::new(
        JavaScript,
        &[
            ("app.js", PACKAGES),
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
            ("node_modules/old/old.js", "module.exports = `old ${require('both').default}`"),
        ],
    );
    let answer = app.bundled("app.js").get("/");
    assert_eq!(answer.body(), r#"["esm","inner","deep","both","scoped esm","old both"]"#);
}

#[test]
fn a_script_of_another_module_system_says_what_to_do() {
    let error = App::new(JavaScript, &[("app.js", "const fs = require('fs')")]).error();
    assert!(error.contains("require") && error.contains("name it `.cjs`"), "{error}");
    assert!(error.contains("/app/app.js:1"), "{error}");
}
