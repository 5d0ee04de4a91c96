//! `/db/INTERFACE`: runs the script in the body by that interface.

pub fn run(interface: &str, script: &str) -> (u16, String) {
    match interface {
        "postgres2" => (200, postgres2::run(script)),
        "postgres3" => (200, postgres3::run(script)),
        "postgres4" => (200, postgres4::run(script)),
        "mysql2" => (200, mysql2::run(script)),
        other => (404, format!("no such interface: {other}\n")),
    }
}

mod postgres2 {
    use spin_sdk::pg as db;
    use spin_sdk::pg::ParameterValue as P;

    runner!(first_parameter);
}

mod postgres3 {
    use spin_sdk::pg3 as db;
    use spin_sdk::pg3::ParameterValue as P;

    runner!(third_parameter);
}

mod postgres4 {
    use spin_sdk::pg4 as db;
    use spin_sdk::pg4::{Interval, ParameterValue as P, RangeBoundKind};

    fn kind_of(inside: bool) -> RangeBoundKind {
        if inside { RangeBoundKind::Inclusive } else { RangeBoundKind::Exclusive }
    }

    runner!(fourth_parameter);
}

mod mysql2 {
    use spin_sdk::mysql as db;
    use spin_sdk::mysql::ParameterValue as P;

    runner!(first_parameter);
}
