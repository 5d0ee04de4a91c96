# Streams of the host's: what comes and goes piece by piece.
package Dayfly::Streams;

use v5.42;

use constant PIECE_BYTES => 65_536;

# The next piece, of so many bytes at most; `undef` at the end.
sub next_piece ($stream, $size = PIECE_BYTES) {
    while (defined(my $piece = on($stream, 'read', $size))) {
        return $piece if length $piece;
        wait_for($stream);
    }
    return undef;
}

# All that something gives piece by piece, by `read`.
sub whole ($from) {
    my $whole = '';
    while (defined(my $piece = $from->read)) {
        $whole .= $piece;
    }
    return $whole;
}

# Writes content to the stream of a number, as long as the other side takes more, and closes it. Content is
# bytes, or gives these piece by piece: a function, `undef` at the end, or what has `getline`.
sub fill ($number, $content) {
    my $stream = Dayfly::Handle->new('streams.output-stream', $number);
    my $next = pieces($content);
    while (defined(my $piece = $next->())) {
        last if !put($stream, $piece);
    }
}

# A function that gives content's pieces.
sub pieces ($content) {
    return $content if ref $content eq 'CODE';
    if (ref $content) {
        return sub {
            local $/ = \PIECE_BYTES;
            return $content->getline;
        };
    }
    my @pieces = $content;
    return sub { shift @pieces };
}

# Whether the other side takes more.
sub put ($stream, $piece) {
    while (length $piece) {
        my $room = on($stream, 'check-write') // return false;
        $room ? on($stream, 'write', substr $piece, 0, $room, '') : wait_for($stream);
    }
    on($stream, 'flush');
    return true;
}

sub wait_for ($handle) {
    my $pollable = Dayfly::Handle->new('poll.pollable', $handle->call('subscribe'));
    $pollable->call('block');
}

# What a stream gives; `undef` if it is closed.
sub on ($stream, $function, @arguments) {
    try { return Dayfly::Bridge::attempt("$stream->{resource}.$function", $stream->number, @arguments) }
    catch ($failure) {
        die $failure if !($failure isa Dayfly::Failure);
        my ($kind, $number) = $failure->{error}->@*;
        return undef if $kind eq 'closed';
        my $error = Dayfly::Handle->new('error.error', $number);
        my $code = Dayfly::Bridge::call('types.http-error-code', $error->number);
        my ($name, $text) = $code
            ? Dayfly::Bridge::words($code) : ('failed', $error->call('to-debug-string') =~ /^(.*)/);
        die Dayfly::Error->new($name, "the body failed: $text");
    }
}

1;
