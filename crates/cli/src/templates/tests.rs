//! What holds for every template, without a component that runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dayfly_model::TestFile;

use super::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn settled(template: &Template, purpose: Purpose<'_>) -> Values {
    Values::settle(&template.definition().unwrap(), purpose, &[], &mut None).unwrap()
}

fn given(template: &str, variable: &str, value: &str) -> Result<Values> {
    let template = Template::find(Some(template), &mut None).unwrap();
    let name = name("app");
    let purpose = Purpose::NewApp { app: &name, component: &name };
    let given = [(variable.to_owned(), value.to_owned())];
    Values::settle(&template.definition().unwrap(), purpose, &given, &mut None)
}

/// The paths of the files below a folder.
fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        match path.is_dir() {
            true => left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => _ = found.insert(path.strip_prefix(folder).unwrap().to_owned()),
        }
    }
    found
}

#[test]
fn every_file_of_the_folder_is_part_of_the_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let mut expected: BTreeSet<PathBuf> = ["dayfly.toml", ".gitignore"].map(Into::into).into();
    for template in TEMPLATES {
        let own = ["template.toml", "manifest.toml", "README.md", "test.toml"].map(PathBuf::from);
        let component =
            template.component.iter().map(|(path, _)| Path::new("component").join(path));
        expected
            .extend(own.into_iter().chain(component).map(|it| Path::new(template.name).join(it)));
    }
    assert_eq!(below(&folder), expected, "the files there are, and those of the list");
}

#[test]
fn every_template_makes_an_app_and_fits_into_one() {
    let (app, component) = (name("shop"), name("cart"));
    for template in TEMPLATES {
        let values = settled(template, Purpose::NewApp { app: &app, component: &component });
        let files = template.app(&values);
        for NewFile { path, text } in &files {
            assert!(!text.contains("{{"), "{}: {}: {text}", template.name, path.display());
            assert!(path.is_relative() && !path.starts_with(".."), "{}", path.display());
        }
        let tests = files.iter().find(|file| file.path == Path::new("tests/cart.toml")).unwrap();
        let tests = TestFile::parse(&tests.text, "cart.toml", Path::new("")).unwrap();
        assert!(!tests.tests.is_empty(), "{}", template.name);
        let made = check(&files[0].text, "dayfly.toml", Path::new("")).unwrap();
        assert_eq!(made.name, "shop");
        let values = settled(template, Purpose::Added(&component));
        let extended = template.extended("dayfly = 1\n[application]\nname = \"x\"", &values);
        let extended = check(&extended, "dayfly.toml", Path::new("")).unwrap();
        assert_eq!(extended.components.len(), 1);
        for NewFile { path, text } in
            template.component(&values).into_iter().chain([template.test(&values)])
        {
            assert!(!text.contains("{{"), "{}: {}: {text}", template.name, path.display());
        }
    }
}

/// What a user says may stand in manifests and in READMEs, where nothing runs by itself.
#[test]
fn only_names_stand_in_what_runs() {
    for template in TEMPLATES {
        let names = ["{{name}}", "{{component}}"];
        for (path, text) in template.component {
            let rest = names.iter().fold((*text).to_owned(), |text, name| text.replace(name, ""));
            assert!(!rest.contains("{{"), "{}: {path}", template.name);
        }
        for line in template.manifest.lines().filter(|line| line.starts_with("command")) {
            assert!(!line.contains("{{"), "{}: {line}", template.name);
        }
    }
}

#[test]
fn names_are_words_and_nothing_else() {
    for good in ["a", "shop", "a-1", "x86-64", "two-words"] {
        assert_eq!(name(good).as_str(), good);
    }
    let long = "a".repeat(65);
    for bad in [
        "", ".", "..", "../x", "/x", "a/b", "a\\b", "a;rm", "a b", "a\n", "$(a)", "`a`", "a\0",
        "ä", "日本", "A", "a_b", "1a", "-a", "a-", "a--b", "a.b", "{{name}}", &long,
    ] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}

#[test]
fn values_stay_in_their_texts() {
    let values = given("http-js", "route", "/a/:id/...").unwrap();
    assert_eq!(values.fill("{{route}} {{path}} {{other}} {{"), "/a/:id/... /a/:id/ {{other}} {{");
    let long = "/".repeat(257);
    for bad in
        ["/\"", "/\\", "/'", "/`a`", "/$(a)", "/\n", "/{{name}}", "/é", "/a;b", "/a|b", &long]
    {
        assert!(given("http-js", "route", bad).is_err(), "{bad:?}");
    }
    let unknown = given("cron", "route", "/").err().unwrap();
    assert_eq!(unknown.to_string(), "the template has no variable `route`");
}
