//! Imports that nobody granted: a guest that merely has them starts, and one that uses them is
//! refused with the interface's own error.

use dayfly_testing::App;

use crate::dayfly;

#[tokio::test]
async fn a_python_guest_that_imports_all_of_spin_starts_and_is_refused() {
    for guest in ["python-spin-3", "python-spin-5"] {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        assert_eq!(server.text("/hello").await, "hello world", "{guest}");
        // The guest does not catch the error, so it becomes a 500 of its own.
        let answer = server.get("/variable?name=anything").await;
        assert_eq!(answer.status, 500, "{guest}: {}", answer.text());
        let line = server.stderr().containing("refused: not granted").await;
        assert!(line.contains("component=guest"), "{line}");
        assert_eq!(server.text("/hello").await, "hello world", "{guest}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_rust_guest_catches_the_interfaces_own_error() {
    for (guest, path) in [
        ("rust-spin-3", "/variable/anything"),
        ("rust-spin-5", "/variable?name=anything"),
        ("rust-spin-7", "/variable/anything"),
    ] {
        let app = App::of(guest);
        let server = dayfly().up(app.folder()).await;
        let answer = server.get(path).await;
        assert_eq!(answer.status, 502, "{guest}: {}", answer.text());
        assert!(answer.text().contains("not granted"), "{guest}: {}", answer.text());
        server.stop().await;
    }
}
