//! The server, from outside: real sockets and real clients, on loopback and free ports.

mod harness;
mod http1;
mod http2;
mod limits;
mod listen;
mod log;
mod malformed;
mod shutdown;
mod stream;
mod tls;
