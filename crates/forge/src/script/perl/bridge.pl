# Calls what the host grants: arguments are laid out in memory, and results read from there.
package Dayfly::Bridge;

use v5.42;

require '/dayfly/codecs.pl';

use constant {
    INTERFACES => '/dayfly/interfaces.json',
    NOT_YET =>
        'while the app is loaded nothing is granted: call this where a request or an event is handled',
};

my ($codecs, %functions);

# How many results are being read, each of which may have a destructor called that calls again.
our $loading = 0;

# What the latest call gave back, or the last part of it: where it was, and a copy.
our $window = [0, ''];

# Takes the table, of arrays, texts and numbers alone.
sub use_interfaces ($table) {
    my ($types, $functions) = @$table;
    $codecs = Dayfly::Codecs->new($types);
    for my $number (keys @$functions) {
        my ($name, @more) = $functions->[$number]->@*;
        $functions{$name} = [$number, @more];
    }
}

# What a function of the host gives back, with the errors that apps are told.
sub call ($name, @arguments) {
    try { return attempt($name, @arguments) }
    catch ($error) {
        die $error if !($error isa Dayfly::Failure);
        die Dayfly::Error->new(words($error->{error}));
    }
}

# The same; a `Dayfly::Failure` if it gives back an error.
sub attempt ($name, @arguments) {
    die Dayfly::Error->new('not-yet', NOT_YET) if !$Dayfly::thawed;
    my ($number, $size, $parameters, $result, $offset) = $functions{$name}->@*;
    my ($block, @kept) = "\0" x $size;
    for my $place (keys @$parameters) {
        my ($type, $at) = $parameters->[$place]->@*;
        my ($store) = $codecs->of($type);
        $store->($arguments[$place], \$block, $at, \@kept);
    }
    # What the call before gave back is kept while it is read.
    substr($block, 0, 8) = pack 'L<L<', $number, $loading;
    enter(unpack 'L<', pack 'P', $block);
    my ($first, $last) = unpack 'L<L<', $block;
    local $loading = $loading + 1;
    local $window = [$first, peek($first, $last - $first)];
    my (undef, $load) = $codecs->of($result);
    return $load->(\$block, $offset);
}

# What is in memory there, of what the latest call gave back.
sub given ($address, $length) {
    my $at = $address - $window->[0];
    return peek($address, $length) if $at < 0 || $at + $length > length $window->[1];
    return substr $window->[1], $at, $length;
}

sub peek ($address, $length) {
    return $length ? unpack "P$length", pack 'L<', $address : '';
}

# What an interface's error says: its kind, and a text.
sub words ($error) {
    my ($kind, $detail) = ref $error ? @$error : $error;
    my $text = text_of($detail);
    my $plain = ($kind // 'failed') =~ tr/-/ /r;
    return ($kind, $plain) if $text eq '';
    return ($kind, $kind =~ /^(?:other|io)\z/ ? $text : "$plain: $text");
}

sub text_of ($detail) {
    return $detail // '' if !ref $detail;
    return $detail->{message} // join ', ', grep { defined && !ref } map { $detail->{$_} } sort keys %$detail
        if ref $detail eq 'HASH';
    my $text = text_of($detail->[1]);
    return $text eq '' ? $detail->[0] =~ tr/-/ /r : $text;
}

# What the app gave us is not what is wanted.
sub misused ($problem) {
    die $problem . place();
}

# Where the app called us, as Perl tells it.
sub place {
    for (my $depth = 0; my (undef, $file, $line) = caller $depth; ++$depth) {
        return " at $file line $line.\n" if $file !~ m{^/dayfly/};
    }
    return ".\n";
}

# The host refused, or what was asked of it failed. `kind` is the interface's word for it.
package Dayfly::Error;

use overload '""' => sub ($self, @) { $self->{message} . $self->{place} }, fallback => 1;

sub new ($class, $kind, $message) {
    return bless { kind => $kind, message => $message, place => Dayfly::Bridge::place() }, $class;
}

sub kind ($self) { $self->{kind} }
sub message ($self) { $self->{message} }

# What the host holds for the app until it is closed, or there is no reference to it any more.
package Dayfly::Handle;

sub new ($class, $resource, $number) {
    return bless { resource => $resource, number => $number }, $class;
}

# One that the resource's own function gives.
sub opened ($class, $resource, @arguments) {
    return $class->new($resource, Dayfly::Bridge::call("$resource.open", @arguments));
}

sub call ($self, $function, @arguments) {
    return Dayfly::Bridge::call("$self->{resource}.$function", $self->number, @arguments);
}

sub number ($self) {
    return $self->{number} // Dayfly::Bridge::misused('it is closed');
}

sub is_closed ($self) { !defined $self->{number} }

# The number, which is another's from now on.
sub taken ($self) {
    return delete $self->{number};
}

sub close ($self) {
    my $number = $self->taken // return;
    Dayfly::Bridge::call("$self->{resource}.drop", $number);
    return;
}

sub DESTROY ($self) { $self->close }

open my $file, '<', Dayfly::Bridge::INTERFACES or die "the table of interfaces: $!";
Dayfly::Bridge::use_interfaces(eval readline $file);

1;
