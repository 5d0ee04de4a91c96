# The part of Storable that Encode and others need, for a build of Perl that has none.
package Storable;

use v5.42;

use Exporter 'import';
our @EXPORT_OK = ('dclone');
our $VERSION = '3.37';

# A copy of a value, and of all that it refers to. Code is shared.
sub dclone ($value) {
    return _copy($value, {});
}

sub _copy ($value, $known) {
    my $type = builtin::reftype($value) // return $value;
    my $address = builtin::refaddr($value);
    return $known->{$address} if exists $known->{$address};
    my $copy;
    if ($type eq 'ARRAY') {
        $copy = $known->{$address} = [];
        @$copy = map { _copy($_, $known) } @$value;
    } elsif ($type eq 'HASH') {
        $copy = $known->{$address} = {};
        $copy->{$_} = _copy($value->{$_}, $known) for keys %$value;
    } elsif ($type eq 'SCALAR' || $type eq 'REF' || $type eq 'VSTRING') {
        $copy = $known->{$address} = \my $inner;
        $inner = _copy($$value, $known);
    } else {
        return $value;
    }
    my $class = builtin::blessed($value);
    return defined $class ? bless $copy, $class : $copy;
}

1;
