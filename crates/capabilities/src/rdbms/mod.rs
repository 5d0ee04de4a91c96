//! What the capabilities of relational databases share: the types of Spin's first interfaces, pools
//! of sessions, whom TLS trusts, bounds of results.

pub(crate) mod bounds;
pub(crate) mod pool;
pub(crate) mod refused;
pub(crate) mod rows;
pub(crate) mod trust;
pub(crate) mod types;
