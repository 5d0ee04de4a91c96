//! Scripts: each language's component is initialised with an app and asked, in one instance, as a
//! frozen and thawed one is.

mod frameworks;
mod javascript;
mod modules;
mod package;
mod perl;
mod python;
mod ruby;
pub mod running;
mod same;
mod web;
