//! A handler of Redis messages, as Spin's SDK 3.1 has them: `fermyon:spin/inbound-redis`. It says what
//! it got, and fails where it is told to.

use anyhow::{Result, bail};
use spin_sdk::redis_component;

#[redis_component]
fn on_message(message: bytes::Bytes) -> Result<()> {
    let text = std::str::from_utf8(&message)?;
    match text {
        "fail" => bail!("told to"),
        "trap" => panic!("told to"),
        _ => println!("got {text}"),
    }
    Ok(())
}
