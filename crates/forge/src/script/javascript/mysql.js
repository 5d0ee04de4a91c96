// MySQL and MariaDB, which `allowed_outbound_hosts` grants.
import { connect } from "./postgres.js";

// A connection to a database, `mysql://user:password@host/name`.
export function open(address) {
  return connect("mysql.connection", address);
}
