use std::fs;
use std::path::Path;

use super::*;

fn work(name: &str, folder: &Path, commands: &[&str]) -> Work {
    Work {
        components: vec![ComponentId(name.to_owned())],
        commands: commands.iter().map(|command| (*command).to_owned()).collect(),
        folder: folder.to_owned(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn built(works: &[Work]) -> Vec<Built> {
    runtime().block_on(async {
        let all = run(works, 8, |_| {});
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("it ends")
    })
}

#[test]
fn several_run_at_the_same_time_and_their_output_is_apart() {
    let folder = tempfile::tempdir().unwrap();
    // Each waits for the other to be there.
    let waits = |own: &str, other: &str| {
        format!("echo {own}; touch {own}; until [ -e {other} ]; do sleep 0.02; done; echo end >&2")
    };
    let works = [
        work("a", folder.path(), &[&waits("one", "two")]),
        work("b", folder.path(), &[&waits("two", "one"), "echo after"]),
    ];
    let [a, b] = &built(&works)[..] else { panic!("two") };
    assert!(a.is_done() && b.is_done(), "{a:?} {b:?}");
    assert_eq!(a.output, "one\nend\n");
    assert_eq!(b.output, "two\nend\nafter\n");
}

#[test]
fn no_more_run_at_once_than_may() {
    let folder = tempfile::tempdir().unwrap();
    let alone = "mkdir alone && sleep 0.1 && rmdir alone";
    let works = ["a", "b", "c"].map(|name| work(name, folder.path(), &[alone]));
    let built = runtime().block_on(run(&works, 1, |_| {}));
    assert!(built.iter().all(Built::is_done), "{built:?}");
}

#[test]
fn a_failure_ends_its_own_commands_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let works = [
        work("a", folder.path(), &["echo first", "echo why; exit 3", "echo never"]),
        work("b", folder.path(), &["sleep 0.2; echo well"]),
    ];
    let [a, b] = &built(&works)[..] else { panic!("two") };
    assert_eq!(a.output, "first\nwhy\n");
    assert_eq!(a.outcome.to_string(), "`echo why; exit 3` failed: exit status: 3");
    assert!(b.is_done());
    assert_eq!(b.output, "well\n");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let [a] = &built(&[work("a", &gone, &["true"])])[..] else { panic!("one") };
    assert_eq!(a.outcome.to_string(), format!("there is no folder `{}`", gone.display()));
}

#[test]
fn lines_are_told_as_they_come() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let works = [work("a", folder.path(), &["echo one; printf two"])];
    runtime().block_on(run(&works, 1, |word| {
        told.push(match word {
            Word::Starts(work) => format!("starts {}", work.name()),
            Word::Says(_, line) => format!("says {line}"),
            Word::Ends(_, built) => format!("ends {}", built.outcome),
        });
    }));
    assert_eq!(told, ["starts a", "says one", "says two", "ends done"]);
}

#[test]
fn much_output_is_kept_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let much = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end";
    let [a] = &built(&[work("a", folder.path(), &[much])])[..] else { panic!("one") };
    assert!(a.output.len() < (1 << 20) + 100, "{}", a.output.len());
    assert!(a.output.starts_with("… ") && a.output.ends_with("\nthe end\n"));
}

#[test]
fn what_is_left_behind_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let [a] = &built(&[work("a", folder.path(), &["sleep 30 & echo on; echo $! > pid"])])[..]
    else {
        panic!("one")
    };
    assert!(a.is_done() && a.output == "on\n", "{a:?}");
    assert!(began.elapsed() < Duration::from_secs(20));
    let left = fs::read_to_string(folder.path().join("pid")).unwrap();
    kill_process_group_of(left.trim());
}

/// Ends what a test left behind.
fn kill_process_group_of(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

#[test]
fn what_is_no_longer_wanted_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let works =
        [work("a", folder.path(), &["sleep 300 & echo $! > pid.new; mv pid.new pid; wait"])];
    let pid = folder.path().join("pid");
    runtime().block_on(async {
        let begun = async {
            while !pid.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            built = run(&works, 1, |_| {}) => panic!("it ended: {built:?}"),
            () = begun => {}
        }
    });
    let pid = fs::read_to_string(pid).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let began = Instant::now();
    // Whoever inherits it may not have reaped it yet.
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn values_of_variables_are_for_no_command() {
    let removed = |name: &str| SECRETS.iter().any(|prefix| name.as_bytes().starts_with(prefix));
    assert!(removed("DAYFLY_VARIABLE_TOKEN") && removed("SPIN_VARIABLE_TOKEN"));
    assert!(!removed("DAYFLY_CACHE_DIR") && !removed("PATH"));
}

#[test]
fn commands_that_are_stated_twice_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("dayfly.toml");
    let component = |name: &str, build: &str| {
        format!("[component.{name}]\nsource = '{name}.wasm'\nbuild = {{ {build} }}\n")
    };
    let text = format!(
        "dayfly = 1\n[application]\nname = 'app'\n\
         [[trigger.http]]\nroute = '/...'\ncomponent = 'a'\n{}{}{}\
         [component.d]\nsource = 'd.wasm'\n",
        component("a", "command = 'make'"),
        component("b", "command = 'make', workdir = 'b'"),
        component("c", "command = ['make']"),
    );
    fs::write(&manifest, text).unwrap();
    let app = dayfly_model::Manifest::load(&manifest, None).unwrap();
    let names = |works: Vec<Work>| works.iter().map(Work::name).collect::<Vec<_>>();
    assert_eq!(names(Work::of(&app, |_| true)), ["a, c", "b"]);
    assert_eq!(names(Work::of(&app, |id| id.0 == "c" || id.0 == "d")), ["c"]);
}
