//! A component without a handler: functions for others to use, and a probe of what it may do.

mod attempt;

use exports::dayfly::parts::{greeter, probe, stamp};
use exports::polite;
use wasip2::http::types::Fields;

wit_bindgen::generate!({
    path: [
        "../wit/wasi-0.2/io.wit",
        "../wit/wasi-0.2/clocks.wit",
        "../wit/wasi-0.2/random.wit",
        "../wit/wasi-0.2/filesystem.wit",
        "../wit/wasi-0.2/sockets.wit",
        "../wit/wasi-0.2/cli.wit",
        "../wit/wasi-0.2/http.wit",
        "wit/parts.wit",
    ],
    world: "dayfly:parts/library",
    with: {
        "wasi:http/types@0.2.12": wasip2::http::types,
        "wasi:io/error@0.2.12": wasip2::io::error,
        "wasi:io/poll@0.2.12": wasip2::io::poll,
        "wasi:io/streams@0.2.12": wasip2::io::streams,
        "wasi:clocks/monotonic-clock@0.2.12": wasip2::clocks::monotonic_clock,
    },
});

struct Library;

impl greeter::Guest for Library {
    fn greet(name: String) -> String {
        format!("hello {name}")
    }
}

impl polite::Guest for Library {
    fn greet(name: String) -> String {
        format!("good day to you, {name}")
    }
}

impl probe::Guest for Library {
    fn attempt(what: String, argument: String) -> Result<String, String> {
        attempt::attempt(&what, &argument)
    }
}

impl stamp::Guest for Library {
    fn stamp(fields: Fields) -> Fields {
        fields.append("x-stamped", b"by the library").expect("the name is legal");
        fields
    }
}

impl Guest for Library {
    fn shout(text: String) -> String {
        text.to_uppercase()
    }
}

export!(Library);
