//! Release candidates of WASI 0.2: a guest that imports all of one starts and is called.

use dayfly_testing::{App, workspace};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use crate::dayfly;

#[tokio::test]
async fn all_of_2023_10_18_links() {
    let mut resolve = Resolve::default();
    let folder = workspace().join("guests/wit/wasi-0.2.0-rc-2023-10-18");
    // In the order of their dependencies.
    for package in ["io", "random", "clocks", "filesystem", "sockets", "cli", "http"] {
        let file = folder.join(package).with_extension("wit");
        let text = std::fs::read_to_string(&file).unwrap();
        resolve.push_str(&file, &text).unwrap();
    }
    let world = "package a:b; world w {
        include wasi:cli/reactor@0.2.0-rc-2023-10-18;
        import wasi:clocks/timezone@0.2.0-rc-2023-10-18;
        import wasi:http/outgoing-handler@0.2.0-rc-2023-10-18;
        export wasi:http/incoming-handler@0.2.0-rc-2023-10-18;
    }";
    is_called(component(resolve, world)).await;
}

#[tokio::test]
async fn what_2023_11_10_has_otherwise_links() {
    let world = "package a:b; world w {
        import wasi:sockets/tcp@0.2.0-rc-2023-11-10;
        import wasi:http/types@0.2.0-rc-2023-11-10;
        export wasi:http/incoming-handler@0.2.0-rc-2023-11-10;
    }
    package wasi:sockets@0.2.0-rc-2023-11-10 {
        interface network { enum error-code { unknown, access-denied, not-supported,
            invalid-argument, out-of-memory, timeout, concurrency-conflict, not-in-progress,
            would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
            remote-unreachable, connection-refused, connection-reset, connection-aborted,
            datagram-too-large, name-unresolvable, temporary-resolver-failure,
            permanent-resolver-failure } }
        interface tcp { use network.{error-code}; resource tcp-socket {
            ipv6-only: func() -> result<bool, error-code>;
            set-ipv6-only: func(value: bool) -> result<_, error-code>;
        } }
    }
    package wasi:http@0.2.0-rc-2023-11-10 {
        interface types {
            resource incoming-request;
            resource response-outparam;
            resource request-options {
                connect-timeout-ms: func() -> option<u64>;
                set-connect-timeout-ms: func(ms: option<u64>) -> result;
            }
        }
        interface incoming-handler {
            use types.{incoming-request, response-outparam};
            handle: func(request: incoming-request, out: response-outparam);
        }
    }";
    is_called(component(Resolve::default(), world)).await;
}

/// A component of the last package's world `w`; each of its functions traps.
fn component(mut resolve: Resolve, wit: &str) -> Vec<u8> {
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("w")).unwrap();
    let abi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let mut module = dummy_module(&resolve, world, abi);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).and_then(|mut encoder| encoder.encode()).unwrap()
}

/// The component links and instantiates, for its handler is reached, and traps.
async fn is_called(component: Vec<u8>) {
    let app = App::new(
        "dayfly = 1\n[application]\nname = \"test\"\n\
         [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
         [component.guest]\nsource = \"guest.wasm\"\n",
    )
    .file("guest.wasm", component);
    let server = dayfly().up(app.folder()).await;
    assert_eq!(server.get("/").await.status, 500);
    server.stderr().containing("wasm `unreachable` instruction executed").await;
    server.stop().await;
}
