//! Whatever a NATS server sends is read or an error, in whatever pieces it comes.
#![no_main]

use dayfly_capabilities::fuzz::nats;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, sent) = input;
    assert_eq!(nats(sent, piece.into()), nats(sent, sent.len()));
});
