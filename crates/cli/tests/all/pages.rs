//! The pages on capabilities: their manifests are ones.

use dayfly_testing::{App, workspace};

use crate::dayfly;

/// Pages, each with a guest that uses what its first manifest grants.
const PAGES: [(&str, &str); 3] =
    [("redis", "rust-spin-7"), ("mqtt", "rust-spin-7"), ("blobstore", "rust-interfaces")];

#[tokio::test]
async fn the_manifest_of_each_page_is_accepted() {
    for (page, guest) in PAGES {
        let file = workspace().join(format!("docs/capabilities/{page}.md"));
        let text = std::fs::read_to_string(&file).unwrap();
        let (_, rest) = text.split_once("```toml\n").expect("a manifest");
        let (example, _) = rest.split_once("```").expect("its end");
        let name = example.lines().find_map(|line| line.strip_prefix("[component.")).unwrap();
        let name = name.trim_end_matches(']');
        let source = format!("\"{name}.wasm\"");
        assert!(example.contains(&source), "{page}: no {source}");
        let example = example.replace(&source, &format!("\"guest:{guest}\""));
        let app = App::new(&format!(
            "dayfly = 1\n[application]\nname = \"test\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"{name}\"\n{example}"
        ));
        dayfly().arg("check").arg(app.folder()).ends().await.with(0);
    }
}
