"""MySQL and MariaDB, which `allowed_outbound_hosts` grants."""

from dayfly.postgres import Connection


def open(address):
    """A connection to a database, `mysql://user:password@host/name`."""
    return Connection("mysql.connection", address)
