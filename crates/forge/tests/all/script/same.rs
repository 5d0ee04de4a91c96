//! The same files give the same image, wherever they lie; others give one of other seeds.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dayfly_forge::freeze::{Frozen, freeze};
use dayfly_forge::script::{self, Language};
use dayfly_forge::{FreezeTerms, FrozenFolder};

use super::running::{component, engine};

/// The image of an app of these files, which are written one after the other. It is made anew: its
/// bound of memory is nobody else's.
fn image<'a>(
    language: Language,
    entry: &str,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    frozen(language, entry, files, own_bound()).wasm
}

/// A bound of memory that no other call has.
fn own_bound() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    (1 << 30) + u64::from(now.subsec_nanos())
}

fn frozen<'a>(
    language: Language,
    entry: &str,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    memory_bytes: u64,
) -> Frozen {
    let root = tempfile::tempdir().expect("a folder");
    let folders = ["app", "dayfly"]
        .map(|name| FrozenFolder { host: root.path().join(name), guest: format!("/{name}") });
    for folder in &folders {
        fs::create_dir(&folder.host).expect("a folder");
    }
    for (name, text) in files {
        fs::write(folders[0].host.join(name), text).expect("the file is written");
    }
    for (name, bytes) in script::boot_files(language, &format!("/app/{entry}")) {
        fs::write(folders[1].host.join(name), bytes).expect("the file is written");
    }
    let terms = FreezeTerms {
        initialiser: Some("initialize".to_owned()),
        folders: folders.to_vec(),
        memory_bytes,
        ..FreezeTerms::default()
    };
    freeze(engine(), component(language).to_vec(), &terms).expect("it is frozen")
}

/// Apps that remember what they see of files.
const APPS: [(Language, &str, &str); 4] = [
    (
        Language::Ruby,
        "app.rb",
        "SEEN = Dir.children('/app').map { |it| [it, File.stat(\"/app/#{it}\").ino, File.mtime(\"/app/#{it}\")] }
         run ->(env) { [200, {}, [SEEN.inspect]] }",
    ),
    (
        Language::Python,
        "app.py",
        "import os\nSEEN = [(it.name, it.stat(), it.inode()) for it in os.scandir('/app')]\ndef app(environ, start): pass\n",
    ),
    (
        Language::JavaScript,
        "app.js",
        "import * as os from 'qjs:os';
         const seen = os.readdir('/app')[0].map(it => JSON.stringify(os.stat(`/app/${it}`)));
         export default { fetch: () => new Response(String(seen)) };",
    ),
    (
        Language::Perl,
        "app.psgi",
        "opendir(my $folder, '/app'); my @seen = map { $_, stat(\"/app/$_\") } readdir($folder);
         sub { [200, [], [\"@seen\"]] }",
    ),
];

#[test]
fn the_same_files_give_the_same_image() {
    for (language, entry, text) in APPS {
        let files = [(entry, text), ("one", "1"), ("two", "2")];
        let first = image(language, entry, files);
        // In another order, and at another time.
        std::thread::sleep(Duration::from_millis(1100));
        let again = image(language, entry, files.into_iter().rev());
        assert!(first == again, "{language}");
    }
}

/// What an app keeps of hidden files, if it gets anything, is in its image.
#[test]
fn hidden_files_are_not_there() {
    let app = "import os
def tried(do):
    try: return do()
    except FileNotFoundError: return 'none'
names = ['.env', 'runtime-config.toml', '../app/.env', './.env']
SEEN = [os.listdir('/app')]
SEEN += [tried(lambda: open('/app/' + name).read()) for name in names]
SEEN += [tried(lambda: os.stat('/app/' + name)) for name in names]
SEEN += [tried(lambda: os.readlink('/app/' + name)) for name in names]
assert SEEN == [['app.py', 'one']] + 12 * ['none'], SEEN
def app(environ, start): pass
";
    let files = [("app.py", app), ("one", "1")];
    let hidden = [(".env", "KEY=secret"), ("runtime-config.toml", "secret")];
    let with = image(Language::Python, "app.py", files.into_iter().chain(hidden));
    assert!(with == image(Language::Python, "app.py", files));
}

/// Python draws the seed of its hash tables when it starts.
#[test]
fn another_file_gives_other_seeds() {
    let (entry, text) = ("app.py", "def app(environ, start): pass\n");
    let with = |unread| image(Language::Python, entry, [(entry, text), ("unread", unread)]);
    assert!(with("one") != with("two"));
}

/// How long it took tells one that was found from one that was made.
#[test]
fn what_took_long_to_freeze_is_found_again() {
    let (language, entry, text) = (Language::Python, "app.py", "def app(environ, start): pass\n");
    let slow = format!("{text}SUM = sum(range(5_000_000))\n");
    let bound = own_bound();
    let first = frozen(language, entry, [(entry, &*slow)], bound);
    assert!(first.started_in > Duration::from_millis(100), "{:?}", first.started_in);
    assert_eq!(frozen(language, entry, [(entry, &*slow)], bound), first);
    let other = frozen(language, entry, [(entry, &*slow), ("more.py", "")], bound);
    assert_ne!(other.started_in, first.started_in);
}
