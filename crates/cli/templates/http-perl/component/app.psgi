use strict;
use warnings;

sub {
    my $env = shift;
    my ($name) = $env->{QUERY_STRING} =~ /(?:^|&)name=([^&]*)/;
    $name //= 'world';
    $name =~ tr/+/ /;
    $name =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return [200, ['Content-Type' => 'text/plain; charset=utf-8'], ["hello $name\n"]];
};
