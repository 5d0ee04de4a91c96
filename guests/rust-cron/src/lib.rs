//! A handler of scheduled events, as those of Spin's cron plugin are.

wit_bindgen::generate!({ path: "wit", world: "handler" });

struct Handler;

impl Guest for Handler {
    fn handle_cron_event(metadata: Metadata) -> Result<(), Error> {
        println!("due {}", metadata.timestamp);
        Ok(())
    }
}

export!(Handler);
