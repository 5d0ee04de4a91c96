# How values lie in memory, by the component model's canonical ABI: what stores and loads those of each
# type, which are in the table of interfaces.
#
# A codec is two functions, `store(value, memory, at, kept)` and `load(memory, at)`. Memory is a reference
# to a string; what a stored value refers to stays where it is as long as `kept` does.
package Dayfly::Codecs;

use v5.42;

my %NUMBERS = (
    u8 => 'C', u16 => 'S<', u32 => 'L<', u64 => 'Q<', s8 => 'c', s16 => 's<', s32 => 'l<', s64 => 'q<',
    f32 => 'f<', f64 => 'd<',
);

# What there is no type for.
my $NONE = [sub (@) { }, sub (@) { undef }];

# The codecs of a table, where the types that one is made of stand before it.
sub new ($class, $table) {
    my $self = bless { table => $table, codecs => [] }, $class;
    for my $type (@$table) {
        my ($kind, undef, undef, @more) = @$type;
        push $self->{codecs}->@*, $NUMBERS{$kind} ? _number($kind) : $self->$kind(@more);
    }
    return $self;
}

# The functions of a type, by its place in the table.
sub of ($self, $type) {
    return ($type < 0 ? $NONE : $self->{codecs}[$type])->@*;
}

sub _number ($kind) {
    my $form = $NUMBERS{$kind};
    my $size = length pack $form, 0;
    return [
        sub ($value, $memory, $at, $) { substr($$memory, $at, $size) = pack $form, $value },
        sub ($memory, $at) { unpack $form, substr $$memory, $at, $size },
    ];
}

sub bool ($) {
    return [
        sub ($value, $memory, $at, $) { substr($$memory, $at, 1) = $value ? "\1" : "\0" },
        sub ($memory, $at) { substr($$memory, $at, 1) ne "\0" },
    ];
}

# A text is characters to Perl, and UTF-8 in memory.
sub string ($) {
    return [
        sub ($value, $memory, $at, $kept) {
            my $bytes = _plain($value, 'a text');
            utf8::encode($bytes);
            _place($bytes, length $bytes, $memory, $at, $kept);
        },
        sub ($memory, $at) {
            my $text = Dayfly::Bridge::given(unpack 'L<L<', substr $$memory, $at, 8);
            utf8::decode($text);
            return $text;
        },
    ];
}

sub list ($self, $item) {
    my ($kind, $size) = $self->{table}[$item]->@*;
    return _bytes() if $kind eq 'u8';
    my ($store, $load) = $self->of($item);
    return [
        sub ($values, $memory, $at, $kept) {
            my $items = "\0" x ($size * @$values);
            $store->($values->[$_], \$items, $size * $_, $kept) for keys @$values;
            _place($items, scalar @$values, $memory, $at, $kept);
        },
        sub ($memory, $at) {
            my ($address, $count) = unpack 'L<L<', substr $$memory, $at, 8;
            my $items = Dayfly::Bridge::given($address, $size * $count);
            return [map { $load->(\$items, $size * $_) } 0 .. $count - 1];
        },
    ];
}

sub _bytes {
    return [
        sub ($value, $memory, $at, $kept) {
            my $bytes = _plain($value, 'a string of bytes');
            utf8::downgrade($bytes, 1)
                or Dayfly::Bridge::misused('bytes are wanted, and this has other characters: encode it');
            _place($bytes, length $bytes, $memory, $at, $kept);
        },
        sub ($memory, $at) { Dayfly::Bridge::given(unpack 'L<L<', substr $$memory, $at, 8) },
    ];
}

sub record ($self, $fields) {
    my @fields = map { [$_->[0], $self->of($_->[1]), $_->[2]] } @$fields;
    return [
        sub ($value, $memory, $at, $kept) {
            $_->[1]->($value->{ $_->[0] }, $memory, $at + $_->[3], $kept) for @fields;
        },
        sub ($memory, $at) {
            return { map { $_->[0] => $_->[2]->($memory, $at + $_->[3]) } @fields };
        },
    ];
}

sub tuple ($self, $fields) {
    my @fields = map { [$self->of($_->[0]), $_->[1]] } @$fields;
    return [
        sub ($values, $memory, $at, $kept) {
            $fields[$_][0]->($values->[$_], $memory, $at + $fields[$_][2], $kept) for keys @fields;
        },
        sub ($memory, $at) { return [map { $_->[1]->($memory, $at + $_->[2]) } @fields] },
    ];
}

# A variant's value is an array of the case's name and what belongs to it.
sub variant ($self, $tag, $payload, $cases) {
    my ($store_tag, $load_tag) = _number('u' . 8 * $tag)->@*;
    my @cases = map { [$_->[0], $self->of($_->[1])] } @$cases;
    my %numbers = map { $cases[$_][0] => $_ } keys @cases;
    return [
        sub ($value, $memory, $at, $kept) {
            my $number = $numbers{ $value->[0] };
            $store_tag->($number, $memory, $at, $kept);
            $cases[$number][1]->($value->[1], $memory, $at + $payload, $kept);
        },
        sub ($memory, $at) {
            my ($name, undef, $load) = $cases[$load_tag->($memory, $at)]->@*;
            return [$name, $load->($memory, $at + $payload)];
        },
    ];
}

sub enum ($, $tag, $names) {
    my ($store_tag, $load_tag) = _number('u' . 8 * $tag)->@*;
    my %numbers = map { $names->[$_] => $_ } keys @$names;
    return [
        sub ($name, $memory, $at, $kept) { $store_tag->($numbers{$name}, $memory, $at, $kept) },
        sub ($memory, $at) { $names->[$load_tag->($memory, $at)] },
    ];
}

sub option ($self, $payload, $some) {
    my ($store, $load) = $self->of($some);
    return [
        sub ($value, $memory, $at, $kept) {
            substr($$memory, $at, 1) = defined $value ? "\1" : "\0";
            $store->($value, $memory, $at + $payload, $kept) if defined $value;
        },
        sub ($memory, $at) {
            return substr($$memory, $at, 1) eq "\0" ? undef : $load->($memory, $at + $payload);
        },
    ];
}

# An error is thrown, as its interface has it.
sub result ($self, $payload, $ok, $err) {
    my (undef, $load_ok) = $self->of($ok);
    my (undef, $load_err) = $self->of($err);
    my $is_text = $err >= 0 && $self->{table}[$err][0] eq 'string';
    return [
        undef,
        sub ($memory, $at) {
            return $load_ok->($memory, $at + $payload) if substr($$memory, $at, 1) eq "\0";
            my $error = $load_err->($memory, $at + $payload);
            $error = ['other', $error] if $is_text;
            # Whoever catches it tells what it came through.
            local $SIG{__DIE__};
            die bless { error => $error }, 'Dayfly::Failure';
        },
    ];
}

sub _plain ($value, $wanted) {
    Dayfly::Bridge::misused("$wanted is wanted, not `undef`") if !defined $value;
    Dayfly::Bridge::misused("$wanted is wanted, not a reference")
        if ref $value && !builtin::blessed($value);
    return "$value";
}

# Writes where bytes are and how many things they are.
sub _place ($bytes, $count, $memory, $at, $kept) {
    push @$kept, $bytes;
    substr($$memory, $at, 8) = pack 'PL<', $kept->[-1], $count;
}

1;
