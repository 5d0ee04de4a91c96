//! `/db/mysql3`: MySQL by `spin:mysql@3.0.0`.

use spin_sdk::mysql::wit::mysql as db;
use spin_sdk::mysql::wit::mysql::ParameterValue as P;

use crate::script::Output;

pub const NAME: &str = "mysql3";

asynchronous!(first_parameter, query, execute, open, more);

async fn more(out: &mut Output, _: &mut Vec<db::Connection>, what: &str, _: &str, _: &[P]) {
    out.line(format!("no such step: {what}"));
}
