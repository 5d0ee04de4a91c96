# Requests to other servers, which `allowed_outbound_hosts` grants.
package Dayfly::HTTP;

use v5.42;

my %METHODS = map { $_ => 1 } qw(GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH);

# Sends a request and waits for the head of its answer.
#
# `headers` is a hash of values, or of arrays of them, or an array of names and values, as PSGI has it;
# `body` bytes, or gives these piece by piece: a function, `undef` at the end, or what has `getline`;
# `timeout` how many seconds connecting, the answer's head, and each piece of its body may take. A
# redirect is an answer like any other.
sub request ($class, $method, $url, %given) {
    my ($headers, $body, $timeout) = delete @given{qw(headers body timeout)};
    Dayfly::Bridge::misused("a request has no option `$_`") for sort keys %given;
    my $message = outgoing(uc $method, $url, pairs($headers // {}, $body));
    my $sent = Dayfly::Handle->new('types.outgoing-body', $message->call('body'));
    my $options = defined $timeout ? options($timeout)->taken : undef;
    my $future = Dayfly::Bridge::call('outgoing-handler.handle', $message->taken, $options);
    $future = Dayfly::Handle->new('types.future-incoming-response', $future);
    deliver($sent, $body);
    Dayfly::Streams::wait_for($future);
    return Dayfly::Response->new($future->call('get'));
}

sub outgoing ($method, $url, $headers) {
    my ($scheme, $authority, $path) = parts($url);
    my $fields = Dayfly::Bridge::call('types.fields.from-list', $headers);
    $fields = Dayfly::Bridge::call('types.outgoing-request.new', $fields);
    my $message = Dayfly::Handle->new('types.outgoing-request', $fields);
    set($message, 'method', $method, $METHODS{$method} ? [lc $method] : ['other', $method]);
    set($message, 'scheme', $scheme, $scheme =~ /^https?\z/ ? [uc $scheme] : ['other', $scheme]);
    set($message, 'authority', $authority, $authority);
    set($message, 'path-with-query', $path, $path);
    return $message;
}

sub set ($message, $part, $told, $value) {
    try { $message->call("set-$part", $value) }
    catch ($error) {
        die $error if !($error isa Dayfly::Error);
        Dayfly::Bridge::misused("a request cannot have the $part `$told`");
    }
}

sub parts ($url) {
    my ($scheme, $authority, $path) = $url =~ m{\A([a-z][a-z0-9+.-]*)://([^/?\#\@]+)([^\#]*)}i
        or Dayfly::Bridge::misused("`$url` is no URL that can be asked for: it is `http[s]://HOST[:PORT]/PATH`");
    return (lc $scheme, $authority, $path =~ m{^/} ? $path : "/$path");
}

sub pairs ($headers, $body) {
    my @pairs;
    if (ref $headers eq 'ARRAY') {
        for (my $at = 0; $at < @$headers; $at += 2) {
            push @pairs, [$headers->[$at], $headers->[$at + 1]];
        }
    } else {
        for my $name (sort keys %$headers) {
            my $values = $headers->{$name};
            push @pairs, map { [$name, $_] } ref $values eq 'ARRAY' ? @$values : $values;
        }
    }
    push @pairs, ['content-length', length $body]
        if defined $body && !ref $body && !grep { $_->[0] =~ /^(?:content-length|transfer-encoding)\z/i } @pairs;
    return \@pairs;
}

sub options ($seconds) {
    my $options = Dayfly::Bridge::call('types.request-options.new');
    $options = Dayfly::Handle->new('types.request-options', $options);
    $options->call("set-$_-timeout", int $seconds * 1_000_000_000) for qw(connect first-byte between-bytes);
    return $options;
}

sub deliver ($sent, $body) {
    Dayfly::Streams::fill($sent->call('write'), $body) if defined $body;
    Dayfly::Bridge::call('types.outgoing-body.finish', $sent->taken, undef);
}

# `status`, a number, and `headers`: a hash of bytes by names in lower case; what came several times is
# joined by a comma, cookies (`set-cookie`) by a line break. The body is read as it comes: by `read`, or
# all of it as `body`.
package Dayfly::Response;

sub new ($class, $number) {
    my $response = Dayfly::Handle->new('types.incoming-response', $number);
    my $fields = Dayfly::Handle->new('types.fields', $response->call('headers'));
    my $body = Dayfly::Handle->new('types.incoming-body', $response->call('consume'));
    return bless {
        status => $response->call('status'),
        headers => joined($fields->call('entries')),
        incoming => $body,
        stream => Dayfly::Handle->new('streams.input-stream', $body->call('stream')),
    }, $class;
}

sub status ($self) { $self->{status} }
sub headers ($self) { $self->{headers} }

# The next piece of the body, of so many bytes at most; `undef` at its end.
sub read ($self, $size = Dayfly::Streams::PIECE_BYTES) {
    return undef if $self->{stream}->is_closed;
    my $piece = Dayfly::Streams::next_piece($self->{stream}, $size);
    $self->close if !defined $piece;
    return $piece;
}

# So that it can be an answer's body.
sub getline ($self) { $self->read }

# All of it, as bytes.
sub body ($self) {
    return $self->{body} //= Dayfly::Streams::whole($self);
}

# A stream goes before the body that it is of.
sub close ($self) {
    $self->{stream}->close;
    $self->{incoming}->close;
}

sub DESTROY ($self) { $self->close }

sub joined ($entries) {
    my %headers;
    for my $entry (@$entries) {
        my ($name, $value) = (lc $entry->[0], $entry->[1]);
        my $separator = $name eq 'set-cookie' ? "\n" : ', ';
        $headers{$name} = exists $headers{$name} ? "$headers{$name}$separator$value" : $value;
    }
    return \%headers;
}

1;
