//! `/db/mysql2`: MySQL by `fermyon:spin/mysql@2.0.0`, which spin-sdk 6 still had.

pub const NAME: &str = "mysql2";

pub async fn run(script: &str) -> String {
    waiting::run(script)
}

mod waiting {
    use spin_sdk::mysql as db;
    use spin_sdk::mysql::ParameterValue as P;

    runner!(first_parameter);
}
