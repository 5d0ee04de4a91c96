# The request that CGI's variables describe, or the event, as PSGI's environment.
package Dayfly::Request;

use v5.42;

# RFC 3875's variables, and the host's own that are of the same kind.
my %OF_REQUEST = map { $_ => 1 } qw(
    AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE HTTPS PATH_INFO PATH_TRANSLATED QUERY_STRING
    REMOTE_ADDR REMOTE_HOST REMOTE_IDENT REMOTE_USER REQUEST_METHOD SCRIPT_NAME SERVER_NAME SERVER_PORT
    SERVER_PROTOCOL SERVER_SOFTWARE X_RAW_PATH_INFO
);

# Takes the variables, `NAME=VALUE` each.
sub new ($class, @lines) {
    my %variables = map { split /=/, $_, 2 } grep { /=/ } @lines;
    return bless \%variables, $class;
}

sub is_event ($self) {
    return exists $self->{CE_ID} && !exists $self->{REQUEST_METHOD};
}

sub environment ($self) {
    return {
        ($self->is_event ? $self->_of_event : $self->_of_request),
        'psgi.version' => [1, 1],
        'psgi.url_scheme' => ($self->{HTTPS} // '') eq 'on' ? 'https' : 'http',
        'psgi.input' => \*STDIN,
        'psgi.errors' => \*STDERR,
        'psgi.multithread' => '',
        'psgi.multiprocess' => 1,
        'psgi.run_once' => 1,
        'psgi.nonblocking' => '',
        'psgi.streaming' => 1,
    };
}

sub _of_request ($self) {
    my %of_request = map { $_ => $self->{$_} }
        grep { $self->_is_its_own($_) && (/^HTTP_/ || $self->{$_} ne '') } keys %$self;
    my $mounted_at = ($self->{SCRIPT_NAME} // '') =~ s{/+\z}{}r;
    my $raw = delete $of_request{X_RAW_PATH_INFO} // _encoded($self->{PATH_INFO} // '');
    $raw = '/' if $raw eq '' && $mounted_at eq '';
    my $query = $self->{QUERY_STRING} // '';
    return (
        SERVER_NAME => 'localhost',
        SERVER_PORT => '80',
        %of_request,
        SCRIPT_NAME => $mounted_at,
        PATH_INFO => $raw =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger,
        REQUEST_URI => _encoded($mounted_at) . $raw . ($query eq '' ? '' : "?$query"),
        QUERY_STRING => $query,
    );
}

# As CloudEvents' HTTP binding has it in its binary mode.
sub _of_event ($self) {
    my %of_event = map { (/^CE_/ ? "HTTP_$_" : $_) => $self->{$_} }
        grep { $self->_is_its_own($_) } keys %$self;
    return (
        %of_event,
        REQUEST_METHOD => 'POST', SCRIPT_NAME => '', PATH_INFO => '/', REQUEST_URI => '/',
        QUERY_STRING => '', SERVER_NAME => 'localhost', SERVER_PORT => '80',
        SERVER_PROTOCOL => 'HTTP/1.1',
    );
}

# The app's variables become those of the process.
sub renew_environment ($self) {
    $ENV{$_} = $self->{$_} for grep { !$self->_is_its_own($_) } keys %$self;
}

# Whether a variable is the request's, and not the app's.
sub _is_its_own ($self, $name) {
    return $OF_REQUEST{$name} || $name =~ /^HTTP_/ || ($self->is_event && $name =~ /^CE_/);
}

sub _encoded ($path) {
    return $path =~ s{([^A-Za-z0-9\-._~!\$&'()*+,;=:\@/])}{sprintf '%%%02X', ord $1}ger;
}

1;
