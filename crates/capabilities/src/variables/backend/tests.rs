use std::path::Path;

use dayfly_model::Manifest;

use super::*;

const MANIFEST: &str = "dayfly = 1\n[application]\nname = \"a\"\n[trigger]\n\
    [variables]\nname = { default = \"by default\" }\nkey = { required = true, secret = true }\n";

fn app() -> App {
    Manifest::parse(MANIFEST, "dayfly.toml", Path::new("."), None).unwrap()
}

fn config(text: &str) -> RuntimeConfig {
    RuntimeConfig::parse(text, "runtime-config.toml", Path::new(".")).unwrap()
}

fn map(values: &[(&str, &str)]) -> BTreeMap<String, String> {
    values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Providers with a file `.env` of this text.
fn providers(
    arguments: &[(&str, &str)],
    environment: &[(&str, &str)],
    runtime_config: &str,
    dotenv: &str,
) -> Result<Providers, VariableError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".env"), dotenv).unwrap();
    let (arguments, environment) = (map(arguments), map(environment));
    let providers = Providers { arguments, environment, ..Providers::default() };
    providers.configured(&config(runtime_config), folder.path())
}

/// The value of `name`.
fn name_of(providers: &Providers) -> String {
    providers.resolve(&app()).unwrap().known["name"].clone()
}

#[test]
fn the_first_provider_that_has_a_value_gives_it() {
    let arguments = &[("name", "argument")];
    let environment = &[
        ("DAYFLY_VARIABLE_NAME", "dayfly"),
        ("SPIN_VARIABLE_NAME", "spin"),
        ("SPIN_CONFIG_NAME", "old spin"),
        ("SHOP_NAME", "shop"),
        ("NAME", "bare"),
        ("SPIN_VARIABLE_KEY", "key"),
    ];
    let given =
        |config: &str| providers(&[], environment, config, "SPIN_VARIABLE_NAME=file\n").unwrap();
    assert_eq!(name_of(&providers(arguments, environment, "", "").unwrap()), "argument");
    assert_eq!(name_of(&given("")), "dayfly");
    let env = "[[variables_provider]]\ntype = \"env\"\n";
    assert_eq!(name_of(&given(env)), "spin");
    assert_eq!(name_of(&given(&format!("{env}prefix = \"SHOP\"\n"))), "shop");
    assert_eq!(name_of(&given(&format!("{env}prefix = \"\"\n"))), "bare");
    let fixed = "[[variables_provider]]\ntype = \"static\"\nvalues = { name = \"fixed\" }\n";
    assert_eq!(name_of(&given(&format!("{fixed}{env}"))), "fixed");
    assert_eq!(name_of(&given(&format!("{env}{fixed}"))), "spin");
    let key = &environment[5..];
    assert_eq!(name_of(&providers(&[], key, "", "SPIN_CONFIG_NAME=file").unwrap()), "file");
    assert_eq!(name_of(&providers(&[], &environment[2..], "", "").unwrap()), "old spin");
    assert_eq!(name_of(&providers(&[], key, "", "").unwrap()), "by default");
}

#[test]
fn a_vault_is_asked_only_where_nobody_before_it_has_a_value() {
    let vault = "[[variables_provider]]\ntype = \"vault\"\nurl = \"http://127.0.0.1:1\"\n\
                 token = \"hunter2\"\nmount = \"secret\"\n";
    let fixed = "[[variables_provider]]\ntype = \"static\"\nvalues = { name = \"fixed\" }\n";
    let both = providers(&[("key", "k")], &[], &format!("{fixed}{vault}"), "").unwrap();
    assert!(!both.resolve(&app()).unwrap().asks());
    let both = providers(&[("key", "k")], &[], &format!("{vault}{fixed}"), "").unwrap();
    let variables = both.resolve(&app()).unwrap();
    assert_eq!(variables.asked.keys().collect::<Vec<_>>(), ["name"]);
    assert_eq!(variables.asked["name"].fallback.as_deref(), Some("fixed"));
    // Whether a required variable has a value is known when it is asked for.
    let variables = providers(&[], &[], vault, "").unwrap().resolve(&app()).unwrap();
    assert_eq!(variables.asked.keys().collect::<Vec<_>>(), ["key", "name"]);
}

#[test]
fn mistakes_name_what_is_meant_and_show_no_value() {
    let text = |error: VariableError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let missing = providers(&[], &[], "", "").unwrap().resolve(&app()).err().unwrap();
    assert!(text(missing).contains("`key`"));
    let unknown = providers(&[("kei", "hunter2")], &[], "", "").unwrap().resolve(&app());
    let unknown = text(unknown.err().unwrap());
    assert!(unknown.contains("`kei`") && !unknown.contains("hunter2"), "{unknown}");
    let malformed = text(providers(&[], &[], "", "A=1\nhunter2\n").err().unwrap());
    assert!(malformed.contains(".env") && malformed.contains("line 2"), "{malformed}");
    assert!(!malformed.contains("hunter2"), "{malformed}");
    let token = "[[variables_provider]]\ntype = \"vault\"\nurl = \"http://127.0.0.1:1\"\n\
                 token = \"hunter2\\n\"\nmount = \"secret\"\n";
    let token = text(providers(&[], &[], token, "").err().unwrap());
    assert!(token.contains("`token`") && !token.contains("hunter2"), "{token}");
}
