# Writes one answer of a PSGI app by CGI, or an event's, which is the body alone.
package Dayfly::Answer;

use v5.42;

# How much of a file is read at once.
use constant PIECE_BYTES => 65_536;

sub new ($class, $output, $is_event) {
    return bless { output => $output, is_event => $is_event, succeeded => 0 }, $class;
}

sub has_succeeded ($self) { $self->{succeeded} }

# Takes what the app gave: a response, or a function that wants to be told whom to give one.
sub take ($self, $response) {
    if (ref $response eq 'CODE') {
        $response->(sub ($response) { $self->_respond($response) });
    } else {
        my $writer = $self->_respond($response);
        die "the app gave no body\n" if $writer;
    }
    die "the app gave no answer\n" if !$self->{responded};
    $self->_write('');
    $self->{succeeded} = $self->{is_good};
}

# Tells the client that something went wrong, if it can be told.
sub fail ($self) {
    return if $self->{is_event} || $self->{begun};
    $self->_start(500, ['Content-Type' => 'text/plain']);
    $self->_write("Internal Server Error\n");
    $self->{succeeded} = 1;
}

# Gives what writes the body if the response has none.
sub _respond ($self, $response) {
    die "the app's response is no array of a status, headers and a body\n"
        if ref $response ne 'ARRAY' || @$response < 2 || ref $response->[1] ne 'ARRAY';
    die "the app answers twice\n" if $self->{responded}++;
    my ($status, $headers, $body) = @$response;
    $self->_start($status, $headers);
    return bless { answer => $self }, 'Dayfly::Writer' if @$response < 3;
    ref $body eq 'ARRAY' ? $self->_write(join '', @$body) : $self->_copy($body);
    return;
}

sub _start ($self, $status, $headers) {
    $self->{is_good} = !$self->{is_event} || $status =~ /^2\d\d$/;
    my $head = "Status: $status\n";
    for (my $at = 0; $at < @$headers; $at += 2) {
        my $line = "$headers->[$at]: $headers->[$at + 1]";
        die "a header has a line break: $line\n" if $line =~ /[\r\n]/;
        $head .= "$line\n";
    }
    $self->{head} = $self->{is_event} ? '' : "$head\n";
}

# What comes piece by piece is sent piece by piece.
sub _copy ($self, $body) {
    local $/ = \PIECE_BYTES;
    while (defined(my $piece = $body->getline)) {
        $self->_write($piece);
    }
    $body->close;
}

# Writes a piece of the body, the first one with the head.
sub _write ($self, $piece) {
    my $left = $self->{begun} ? $piece : $self->{head} . $piece;
    utf8::downgrade($left, 1) or die "the answer has characters that are no bytes: encode them\n";
    $self->{begun} = 1;
    while (length $left) {
        my $count = syswrite $self->{output}, $left;
        die "the answer cannot be written: $!\n" if !defined $count;
        substr $left, 0, $count, '';
    }
}

# What a streaming app writes to.
package Dayfly::Writer;

sub write ($self, $piece) { $self->{answer}->_write($piece) }
sub close ($self) { }

1;
