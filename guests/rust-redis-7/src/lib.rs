//! A handler of Redis messages, as Spin's SDK 7 has them: `spin:redis/inbound-redis@3.0.0`. It says what
//! it got, and fails where it is told to.

use spin_sdk::redis::{Error, Payload};
use spin_sdk::redis_subscriber;

#[redis_subscriber]
async fn on_message(message: Payload) -> Result<(), Error> {
    match &*String::from_utf8_lossy(&message) {
        "fail" => return Err(Error::Other("told to".to_owned())),
        "trap" => panic!("told to"),
        text => println!("got {text}"),
    }
    Ok(())
}
