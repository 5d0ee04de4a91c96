use v5.36;

use JSON::PP;
use POSIX 'strftime';

my %ENTITIES = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;', "'" => '&#x27;');
my @ITEMS = map { { name => "item <$_>", price => $_ * 1.5 } } 0 .. 19;
my $json = JSON::PP->new->utf8;

sub escaped ($text) { $text =~ s/([&<>"'])/$ENTITIES{$1}/gr }
sub quoted ($text) { $text =~ s{([^A-Za-z0-9_.\-~/])}{sprintf '%%%02X', ord $1}ger }

sub ($env) {
    my @items = @ITEMS[0 .. 9];
    my $body = {
        html => '<ul>' . join('', map { '<li>' . escaped($_->{name}) . '</li>' } @items) . '</ul>',
        items => \@items,
        at => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
        path => quoted($env->{PATH_INFO}),
    };
    return [200, ['content-type' => 'application/json'], [$json->encode($body)]];
};
