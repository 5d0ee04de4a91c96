//! `/db/INTERFACE`: runs the script in the body by that interface.

use spin_sdk::http::{Params, Request, Response};

pub fn handle(request: Request, params: Params) -> anyhow::Result<Response> {
    let script = String::from_utf8_lossy(request.body());
    Ok(match params.get("interface").unwrap_or_default() {
        "postgres2" => Response::new(200, postgres2::run(&script)),
        "postgres3" => Response::new(200, postgres3::run(&script)),
        "mysql2" => Response::new(200, mysql2::run(&script)),
        other => Response::new(404, format!("no such interface: {other}\n")),
    })
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

mod mysql2 {
    use spin_sdk::mysql as db;
    use spin_sdk::mysql::ParameterValue as P;

    runner!(first_parameter);
}
