# Blobs, which `blob_containers` grants. A container has objects, each under a name: names are texts, of
# characters, and values bytes.
package Dayfly::Blobs;

use v5.42;

our @ISA = 'Dayfly::Handle';

use constant NAMES => 1000;

# A container, which is made if it is not there yet.
sub open ($class, $container = 'default') {
    return $class->new('container.container', found($container));
}

sub found ($name) {
    if (!Dayfly::Bridge::call('blobstore.container-exists', $name)) {
        try { return Dayfly::Bridge::call('blobstore.create-container', $name) }
        catch ($error) {
            # Another instance may have made it meanwhile.
            die $error if !Dayfly::Bridge::call('blobstore.container-exists', $name);
        }
    }
    return Dayfly::Bridge::call('blobstore.get-container', $name);
}

# All of an object, `undef` if there is none.
sub get ($self, $name) {
    return $self->exists($name) ? Dayfly::Streams::whole($self->read($name)) : undef;
}

# An object piece by piece, by `read`; the first and the last byte are of it. It may be an answer's body.
sub read ($self, $name, $first = 0, $last = ~0) {
    my $value = $self->call('get-data', $name, $first, $last);
    my $stream = Dayfly::Bridge::call('types.incoming-value.incoming-value-consume-async', $value);
    return Dayfly::Pieces->new('streams.input-stream', $stream);
}

# `$value` is bytes, or gives these piece by piece: a function, `undef` at the end, or what has `getline`. It
# takes its place when all of it is there.
sub set ($self, $name, $value) {
    my $new = Dayfly::Bridge::call('types.outgoing-value.new-outgoing-value');
    $new = Dayfly::Handle->new('types.outgoing-value', $new);
    $self->call('write-data', $name, $new->number);
    Dayfly::Streams::fill($new->call('outgoing-value-write-body'), $value);
    Dayfly::Bridge::call('types.outgoing-value.finish', $new->taken);
    return;
}

sub delete ($self, $name) { $self->call('delete-object', $name) }
sub exists ($self, $name) { $self->call('has-object', $name) }

# How many bytes an object has.
sub size ($self, $name) { $self->call('object-info', $name)->{size} }

# The names of all objects.
sub keys ($self) {
    my $listed = Dayfly::Handle->new('container.stream-object-names', $self->call('list-objects'));
    my @names;
    while (true) {
        my ($more, $is_last) = $listed->call('read-stream-object-names', NAMES)->@*;
        push @names, @$more;
        return \@names if $is_last;
    }
}

# What is read piece by piece, once.
package Dayfly::Pieces;

our @ISA = 'Dayfly::Handle';

# The next piece, of so many bytes at most; `undef` at the end.
sub read ($self, $size = Dayfly::Streams::PIECE_BYTES) {
    return undef if $self->is_closed;
    my $piece = Dayfly::Streams::next_piece($self, $size);
    $self->close if !defined $piece;
    return $piece;
}

sub getline ($self) { $self->read }

1;
