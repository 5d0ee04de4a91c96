//! `fermyon:spin/config`, which never had a version: `/config/NAME`.

use crate::bindings::fermyon::spin::config::get_config;
use crate::exchange::{Exchange, Failure, wit_failure};

pub fn call(exchange: &mut Exchange, name: &str) -> Result<(), Failure> {
    let value = get_config(name).map_err(|error| wit_failure("get-config", error))?;
    exchange.text(&value)
}
