//! No text makes the reader panic: the golden manifests, cut, spliced and altered at random.

use std::path::Path;

use dayfly_model::{Manifest, RuntimeConfig};

use crate::manifests;

/// Xorshift: random enough, and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// What alters a manifest's meaning more often than a random letter does.
const FRAGMENTS: [&str; 24] = [
    "=",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\n",
    ".",
    ",",
    "{{",
    "}}",
    "é",
    "0x",
    "-1",
    "true",
    "\"\"\"",
    "[component.a]\n",
    "[[trigger.http]]\n",
    "route = \"/:a/...\"\n",
    "99999999999999999999",
    "1979-05-27",
];

#[test]
fn altered_manifests_never_panic() {
    let mut random = Random(0x5eed_da1f);
    let texts: Vec<_> = ["valid", "invalid"]
        .into_iter()
        .flat_map(manifests)
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for round in 0..6000 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..=random.below(4) {
            alter(&mut text, &texts, &mut random);
        }
        if let Err(errors) = Manifest::parse(&text, "m.toml", Path::new("."), Some("dev")) {
            assert!(!format!("{errors:#}").is_empty());
        }
    }
}

#[test]
fn altered_runtime_configurations_never_panic() {
    let mut random = Random(0x0c0f_f1e5);
    let texts: Vec<_> = ["runtime-config/valid", "runtime-config/invalid"]
        .into_iter()
        .flat_map(manifests)
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for round in 0..3000 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..=random.below(4) {
            alter(&mut text, &texts, &mut random);
        }
        if let Err(errors) = RuntimeConfig::parse(&text, "c.toml", Path::new(".")) {
            assert!(!format!("{errors:#}").is_empty());
        }
    }
}

fn alter(text: &mut String, texts: &[String], random: &mut Random) {
    let at = text.floor_char_boundary(random.below(text.len() + 1));
    match random.below(4) {
        0 => text.truncate(at),
        1 => text.insert_str(at, FRAGMENTS[random.below(FRAGMENTS.len())]),
        2 => {
            let end = text.floor_char_boundary((at + random.below(20)).min(text.len()));
            text.replace_range(at..end.max(at), "");
        }
        _ => {
            let other = &texts[random.below(texts.len())];
            let lines: Vec<_> = other.lines().collect();
            let line = lines.get(random.below(lines.len())).copied().unwrap_or_default();
            text.insert_str(at, line);
        }
    }
}

#[test]
fn deep_nesting_and_hostile_sizes_are_bounded() {
    let head = "dayfly = 1\n[application]\nname = \"a\"\n";
    let deep_list = format!("{head}x = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_keys = format!("{head}[{}x]\n", "a.".repeat(100_000));
    let long_key = format!(
        "{head}[trigger]\n[component.{}]\nfiles = [{}]",
        "a".repeat(300_000),
        "1,".repeat(100_000)
    );
    let one_line = format!("{head}authors = [{}]", "1,".repeat(400_000));
    let route = format!("{head}[[trigger.http]]\nroute = \"{}\"\n", "/a".repeat(200_000));
    let many: String = (0..20_000)
        .map(|i| format!("[[trigger.http]]\nroute=\"/{i}\"\ncomponent=\"c{i}\"\n"))
        .collect();
    let variables: String = (0..30_000).map(|i| format!("v{i}={{}}\n")).collect();
    for text in [
        deep_list,
        deep_keys,
        long_key,
        one_line,
        route,
        format!("{head}{many}"),
        format!("{head}[variables]\n{variables}"),
    ] {
        let start = std::time::Instant::now();
        let errors = Manifest::parse(&text, "m.toml", Path::new("."), None).unwrap_err();
        assert!(errors.iter().count() <= 100);
        assert!(errors.to_string().len() < 1 << 20);
        // Generous, for a machine that is busy: what is unbounded takes hours.
        let elapsed = start.elapsed();
        assert!(elapsed.as_secs() < 60, "{elapsed:?}");
    }
}
