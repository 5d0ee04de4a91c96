//! `/db/INTERFACE`: runs the script in the body by that interface. In the first ones, `open` merely
//! keeps the address.

use crate::exchange::{Exchange, Failure};

pub fn call(exchange: &mut Exchange, interface: &str) -> Result<(), Failure> {
    let script = String::from_utf8(crate::body(exchange)?)?;
    let answer = match interface {
        "postgres1" => postgres1::run(&script),
        "postgres4.1" => postgres4::run(&script),
        "mysql1" => mysql1::run(&script),
        _ => return exchange.answer(404, "no such interface\n"),
    };
    exchange.text(&answer)
}

/// A connection of an interface that has none.
macro_rules! connection {
    ($interface:ident, $error:ident, $done:ty) => {
        use crate::bindings::fermyon::spin::$interface::{self, $error as Error};
        use crate::bindings::fermyon::spin::rdbms_types::{ParameterValue as P, RowSet};

        mod db {
            pub use super::Connection;
        }

        pub struct Connection(String);

        impl Connection {
            pub fn open(address: &str) -> Result<Self, Error> {
                Ok(Self(address.to_owned()))
            }

            fn query(&self, statement: &str, parameters: &[P]) -> Result<RowSet, Error> {
                $interface::query(&self.0, statement, parameters)
            }

            fn execute(&self, statement: &str, parameters: &[P]) -> Result<$done, Error> {
                $interface::execute(&self.0, statement, parameters)
            }
        }

        runner!(first_parameter);
    };
}

mod postgres1 {
    connection!(postgres, PgError, u64);
}

mod mysql1 {
    connection!(mysql, MysqlError, ());
}

mod postgres4 {
    use crate::bindings::spin::postgres::postgres::{
        self as latest, Interval, ParameterValue as P, RangeBoundKind,
    };

    mod db {
        use super::latest;

        pub struct Connection;

        impl Connection {
            /// An address, and an authority if there is one behind it.
            pub fn open(with: &str) -> Result<latest::Connection, latest::Error> {
                let (address, authority) = crate::script::typed(with);
                let builder = latest::ConnectionBuilder::new(address);
                if !authority.is_empty() {
                    builder.set_ca_root(&authority.replace("\\n", "\n"))?;
                }
                builder.build()
            }
        }
    }

    fn kind_of(inside: bool) -> RangeBoundKind {
        if inside { RangeBoundKind::Inclusive } else { RangeBoundKind::Exclusive }
    }

    runner!(fourth_parameter);
}
