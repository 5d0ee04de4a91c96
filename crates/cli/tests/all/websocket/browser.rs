//! A page that talks, in a real browser.

use dayfly_testing::{App, browser};

use crate::dayfly;

/// It waits by requests, for which the browser waits before it shows the page.
const PAGE: &str = "<p id=heard></p><script>\
    const socket = new WebSocket(`ws://${location.host}/chat/a`);\
    socket.binaryType = 'arraybuffer';\
    socket.onopen = () => socket.send('from a page');\
    socket.onmessage = ({ data }) => {\
      if (typeof data === 'string') { heard.append(data + ' '); socket.send(new Uint8Array([1, 2, 3])); }\
      else { heard.append(`${data.byteLength} bytes `); socket.close(4003, 'done'); }\
    };\
    let over = false;\
    socket.onclose = ({ code }) => { heard.append(`closed ${code}`); over = true; };\
    const wait = async () => { while (!over) await fetch('/sleep?ms=50'); };\
    wait();\
    </script>";

#[tokio::test]
async fn a_page_talks_with_a_handler() {
    let app = App::new(&format!(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/\"\n\
         static_response = {{ headers = {{ content-type = \"text/html\" }}, body = {PAGE:?} }}\n\
         [[trigger.http]]\nroute = \"/chat/...\"\ncomponent = \"chat\"\nwebsocket = true\n\
         [[trigger.http]]\nroute = \"/sleep\"\ncomponent = \"wait\"\n\
         [component.wait]\nsource = \"guest:rust-http\"\n\
         [component.chat]\nsource = \"guest:rust-websocket\"\n"
    ));
    let server = dayfly().up(app.folder()).await;
    let page = browser::page(&format!("{}/", server.base())).await;
    assert!(page.contains("from a page 3 bytes closed 4003"), "{page}");
    server.stop().await;
}
