//! What one component may take of what all of them share.

use std::io::Write as _;
use std::net::TcpStream;

use dayfly_testing::App;
use http::Method;

use crate::dayfly;

/// A command with so many tables that waits for a body which does not come.
fn waiting(tables: usize) -> String {
    let tables = "(table 0 funcref) ".repeat(tables);
    format!(
        "(module
           (import \"wasi_snapshot_preview1\" \"fd_read\"
             (func $read (param i32 i32 i32 i32) (result i32)))
           (memory (export \"memory\") 1)
           {tables}
           (data (i32.const 0) \"\\10\\00\\00\\00\\01\")
           (func (export \"_start\")
             (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"
    )
}

#[tokio::test]
async fn tables_of_one_component_leave_others_theirs() {
    // 64 instances share 288 tables.
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/many\"\ncomponent = \"many\"\n\
         [[trigger.http]]\nroute = \"/\"\ncomponent = \"neighbour\"\n\
         [component.many]\nsource = \"many.wat\"\n\
         [component.neighbour]\nsource = \"guest:rust-hello\"\n",
    )
    .file("many.wat", waiting(47));
    let server = dayfly().args(["up", "--max-instances", "64"]).arg(app.folder()).serve().await;
    let mut clients = Vec::new();
    for _ in 0..7 {
        let mut client = TcpStream::connect(server.authority()).unwrap();
        client.write_all(b"POST /many HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\n").unwrap();
        clients.push(client);
        // Each has begun before the neighbour is asked.
        assert_eq!(server.get("/").await.status, 200);
    }
    for _ in 0..20 {
        assert_eq!(server.get("/").await.status, 200);
    }
    drop(clients);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_to_head_keeps_no_guest_writing() {
    let app = App::granted("hostile", "limits = { concurrency = 1 }");
    let server = dayfly().up(app.folder()).await;
    for _ in 0..3 {
        let head = server.request(Method::HEAD, "/endless").body(dayfly_testing::Body::full(""));
        assert_eq!(server.send(head).await.status, 200);
        assert_eq!(server.get("/status").await.status, 200);
    }
    server.stop().await;
}
