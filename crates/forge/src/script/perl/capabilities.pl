# What the host grants beside requests to other servers, a package each. Names, keys and statements are
# texts, of characters; values of stores are bytes.

# The app's variables, which `variables` grants.
package Dayfly::Variables;

use v5.42;

# The variable's value, a text.
sub get ($class, $name) {
    return Dayfly::Bridge::call('variables.get', $name);
}

# Key-value stores, which `key_value_stores` grants.
package Dayfly::KeyValue;

our @ISA = 'Dayfly::Handle';

sub open ($class, $label = 'default') {
    return $class->opened('key-value.store', $label);
}

# The value, `undef` if there is none.
sub get ($self, $key) { $self->call('get', $key) }
sub set ($self, $key, $value) { $self->call('set', $key, $value) }
sub delete ($self, $key) { $self->call('delete', $key) }
sub exists ($self, $key) { $self->call('exists', $key) }
sub keys ($self) { $self->call('get-keys') }

# Redis servers, which `allowed_outbound_hosts` grants.
package Dayfly::Redis;

our @ISA = 'Dayfly::Handle';

# A connection to a server, `redis://host:port`.
sub open ($class, $address) {
    return $class->opened('redis.connection', $address);
}

# The value, `undef` if there is none.
sub get ($self, $key) { $self->call('get', $key) }
sub set ($self, $key, $value) { $self->call('set', $key, $value) }
sub incr ($self, $key) { $self->call('incr', $key) }

# How many of them there were.
sub delete ($self, @keys) { $self->call('del', \@keys) }
sub sadd ($self, $key, @members) { $self->call('sadd', $key, \@members) }
sub srem ($self, $key, @members) { $self->call('srem', $key, \@members) }
sub smembers ($self, $key) { $self->call('smembers', $key) }
sub publish ($self, $channel, $payload) { $self->call('publish', $channel, $payload) }

# What any other command answers: an array of numbers, bytes, texts (a status) and `undef`.
sub execute ($self, $command, @arguments) {
    my @given = map { [Dayfly::Database::is_integer($_) ? 'int64' : 'binary', $_] } @arguments;
    return [map { $_->[1] } $self->call('execute', $command, \@given)->@*];
}

# What databases have in common. A class tells the names of its interface for what Perl's values are.
package Dayfly::Database;

no warnings 'experimental::builtin';

our @ISA = 'Dayfly::Handle';

sub parameters ($self, $values) {
    my $names = $self->NAMES;
    return [map { [$names->{ kind_of($_) }, ref $_ ? $$_ : $_] } @$values];
}

# A string is a text, a reference to one its bytes.
sub kind_of ($value) {
    return 'null' if !defined $value;
    return 'boolean' if builtin::is_bool($value);
    return 'bytes' if ref $value eq 'SCALAR';
    Dayfly::Bridge::misused('a parameter is a text, a number, a boolean, `undef` or a reference to bytes')
        if ref $value;
    return 'text' if !builtin::created_as_number($value);
    return is_integer($value) ? 'integer' : 'real';
}

# Whether it is a number that 64 bits hold.
sub is_integer ($value) {
    return builtin::created_as_number($value)
        && $value == int $value && $value >= -2**63 && $value < 2**63;
}

# Rows, each a hash by column.
sub hashes ($columns, $rows) {
    my @hashes;
    for my $row (@$rows) {
        my %hash;
        @hash{@$columns} = map { $_->[1] } @$row;
        push @hashes, \%hash;
    }
    return \@hashes;
}

# SQLite databases, which `sqlite_databases` grants.
package Dayfly::SQLite;

our @ISA = 'Dayfly::Database';

use constant NAMES => {
    null => 'null', boolean => 'integer', integer => 'integer', real => 'real', text => 'text', bytes => 'blob',
};

sub open ($class, $label = 'default') {
    return $class->opened('sqlite.connection', $label);
}

# The rows, each a hash by column.
sub execute ($self, $sql, $params = []) {
    my $found = $self->call('execute', $sql, $self->parameters($params));
    return Dayfly::Database::hashes($found->{columns}, [map { $_->{values} } $found->{rows}->@*]);
}

sub last_insert_rowid ($self) { $self->call('last-insert-rowid') }

# How many rows the last statement changed.
sub changes ($self) { $self->call('changes') }

# PostgreSQL, which `allowed_outbound_hosts` grants.
package Dayfly::Postgres;

our @ISA = 'Dayfly::Database';

use constant RESOURCE => 'postgres.connection';
use constant NAMES => {
    null => 'db-null', boolean => 'boolean', integer => 'int64', real => 'floating64', text => 'str',
    bytes => 'binary',
};

# A connection to a database, `postgres://user:password@host/name`.
sub open ($class, $address) {
    return $class->opened($class->RESOURCE, $address);
}

# The rows, each a hash by column.
sub query ($self, $sql, $params = []) {
    my $found = $self->call('query', $sql, $self->parameters($params));
    return Dayfly::Database::hashes([map { $_->{name} } $found->{columns}->@*], $found->{rows});
}

# Runs a statement that gives no rows. How many rows it changed, where the server says so.
sub execute ($self, $sql, $params = []) {
    return $self->call('execute', $sql, $self->parameters($params));
}

# MySQL and MariaDB, which `allowed_outbound_hosts` grants, `mysql://user:password@host/name`.
package Dayfly::MySQL;

our @ISA = 'Dayfly::Postgres';

use constant RESOURCE => 'mysql.connection';

1;
