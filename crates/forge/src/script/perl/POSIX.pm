# The part of POSIX that apps ask for most, for a build of Perl that has none: numbers, times and errors.
# The time zone is UTC, the locale `C`.
package POSIX;

use v5.36; # Later versions bring a `ceil` and `floor` of their own.

use Errno ();
use Exporter 'import';
use Time::Local ();
use Time::Piece ();

our $VERSION = '2.23';

my %constants = (
    CHAR_BIT => 8, INT_MAX => 2**31 - 1, INT_MIN => -2**31, UINT_MAX => 2**32 - 1,
    LONG_MAX => 2**31 - 1, LONG_MIN => -2**31, ULONG_MAX => 2**32 - 1,
    DBL_DIG => 15, DBL_EPSILON => 2**-52, DBL_MAX => 1.7976931348623157e308,
    DBL_MIN => 2.2250738585072014e-308,
    EXIT_SUCCESS => 0, EXIT_FAILURE => 1,
    LC_CTYPE => 0, LC_NUMERIC => 1, LC_TIME => 2, LC_COLLATE => 3, LC_MONETARY => 4, LC_MESSAGES => 5,
    LC_ALL => 6,
);
while (my ($name, $value) = each %constants) {
    no strict 'refs';
    *$name = sub () { $value };
}
my @errors = grep { /^E[A-Z]/ } @Errno::EXPORT_OK;
Errno->import(@errors);

our @EXPORT = (
    qw(asctime ceil ctime difftime floor fmod localeconv mktime pow setlocale strftime strtod strtol tolower
       toupper), keys %constants, @errors,
);
our @EXPORT_OK = qw(abs atan2 cos exp fmax fmin lround round sin sqrt time trunc);
our %EXPORT_TAGS = (
    errno_h => [@errors],
    float_h => [grep { /^DBL_/ } keys %constants],
    limits_h => [grep { /^(?:CHAR|U?INT|U?LONG)_/ } keys %constants],
    locale_h => [qw(localeconv setlocale), grep { /^LC_/ } keys %constants],
    math_h => [qw(ceil floor fmod pow)],
    stdlib_h => [qw(strtod strtol EXIT_FAILURE EXIT_SUCCESS)],
    time_h => [qw(asctime ctime difftime mktime strftime)],
);

sub abs ($number) { CORE::abs $number }
sub atan2 ($y, $x) { CORE::atan2 $y, $x }
sub cos ($number) { CORE::cos $number }
sub exp ($number) { CORE::exp $number }
sub sin ($number) { CORE::sin $number }
sub sqrt ($number) { CORE::sqrt $number }
sub time () { CORE::time }

sub ceil ($number) { builtin::ceil($number) }
sub floor ($number) { builtin::floor($number) }
sub trunc ($number) { $number < 0 ? ceil($number) : floor($number) }
sub round ($number) { trunc($number + ($number < 0 ? -0.5 : 0.5)) }
sub lround ($number) { round($number) }
sub fmod ($number, $by) { $number - $by * trunc($number / $by) }
sub pow ($number, $power) { $number ** $power }
sub fmax ($one, $other) { $one > $other ? $one : $other }
sub fmin ($one, $other) { $one < $other ? $one : $other }
sub tolower ($text) { lc $text }
sub toupper ($text) { uc $text }

# The number that a text begins with, and in a list how many characters are left.
sub strtod ($text) {
    my ($number) = $text =~ /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/;
    return wantarray ? ($number // 0, length($text) - (defined $number ? $+[0] : 0)) : $number // 0;
}

sub strtol ($text, $base = 10) {
    my ($sign, $digits) = $text =~ /^\s*([+-]?)(?:0[xX](?=[0-9a-fA-F]))?([0-9a-zA-Z]*)/;
    my $end = $-[2];
    $base = $text =~ /^\s*[+-]?0[xX]/ ? 16 : $text =~ /^\s*[+-]?0/ ? 8 : 10 if $base == 0;
    my $number = 0;
    for my $digit (map { /\d/ ? $_ : 10 + ord(lc) - ord 'a' } split //, $digits) {
        last if $digit >= $base;
        $number = $number * $base + $digit;
        ++$end;
    }
    $number = -$number if $sign eq '-';
    return wantarray ? ($number, length($text) - $end) : $number;
}

# Seconds since 1970 of a time in parts, which may be beyond their usual range.
sub mktime ($second, $minute, $hour, $day, $month, $year, @) {
    $year += floor($month / 12);
    $month -= 12 * floor($month / 12);
    my $first = Time::Local::timegm_modern(0, 0, 0, 1, $month, $year + 1900);
    return $first + (($day - 1) * 24 + $hour) * 3600 + $minute * 60 + $second;
}

sub strftime ($format, @parts) {
    return Time::Piece::_strftime($format, mktime(@parts[0 .. 5]), 0);
}

sub asctime (@parts) { strftime("%a %b %e %H:%M:%S %Y\n", @parts) }
sub ctime ($seconds) { asctime(gmtime $seconds) }
sub difftime ($one, $other) { $one - $other }
sub setlocale ($category, $locale = undef) { 'C' }
sub localeconv () { { decimal_point => '.' } }

1;
