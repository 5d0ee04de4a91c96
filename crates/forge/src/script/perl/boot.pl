# Loads the app once, before the instance is frozen, and handles one request in each thawed one.
package Dayfly;

use v5.42;

use IO::Handle ();

require '/dayfly/bridge.pl';
require '/dayfly/capabilities.pl';
require '/dayfly/streams.pl';
require '/dayfly/http.pl';
require '/dayfly/blobs.pl';
require '/dayfly/messages.pl';
require '/dayfly/request.pl';
require '/dayfly/answer.pl';

use constant { CONFIGURATION => '/dayfly/dayfly.json', ROOT => '/app' };

# Where modules lie beside an app: its own, and those that `cpanm -L local` or `carton` put there.
use constant LIBRARIES => ('lib', 'local/lib/perl5');

# What went wrong while the app was loaded; the driver asks for it.
our $error = '';

my ($app, $output);

# Whether this is a thawed instance.
our $thawed = 0;

# The latest exception, and the calls that it came through.
my ($thrown, $trace) = ('', '');

BEGIN {
    # `use Dayfly` finds what is here already.
    $INC{'Dayfly.pm'} = '/dayfly/boot.pl';

    # It would end the instance without an answer.
    *CORE::GLOBAL::exit = sub :prototype(;$) ($code = 0) {
        my (undef, $file, $line) = caller;
        die "the script called `exit($code)` at $file line $line.\n";
    };
}

sub initialize {
    open $output, '>&=', 1 or die "standard output: $!";
    binmode $_ for $output, *STDIN, *STDERR;
    # What is printed goes to the log: standard output is the answer.
    *STDOUT = *STDERR{IO};
    local $SIG{__DIE__} = \&remember;
    eval { $app = load(configured_entry()); 1 } or $error = told($@);
    utf8::decode($error);
}

# Has modules of these folders be found in memory: at a request the folders are not there. Nor would
# they all open where several of Perl's own modules are being read, whose file numbers it makes up.
sub library (@folders) {
    my %modules;
    for my $folder (reverse @folders) {
        for my $name (modules_in($folder, '')) {
            open my $file, '<', "$folder/$name" or next;
            local $/;
            $modules{$name} = ["$folder/$name", qq(#line 1 "$folder/$name"\n) . readline $file];
        }
    }
    return sub ($hook, $name) {
        my $module = delete $modules{$name} // return;
        ($INC{$name}, my $text) = @$module;
        open my $file, '<', \$text or return;
        return $file;
    };
}

# The names, as `require` knows them, of what is in a library's folder below `$inner`.
sub modules_in ($folder, $inner) {
    opendir my $entries, "$folder/$inner" or return;
    my @names = map { "$inner$_" } grep { !/^\./ } sort readdir $entries;
    return map { -d "$folder/$_" ? modules_in($folder, "$_/") : /\.pm\z/ ? $_ : () } @names;
}

# JSON of which every other character is what it is; the library would be in every image.
sub configured_entry {
    open my $file, '<', CONFIGURATION or die "configuration: $!";
    my ($entry) = readline($file) =~ /"entry":"((?:[^"\\]|\\.)*)"/;
    return $entry =~ s/\\(.)/$1/gr;
}

sub load ($entry) {
    chdir ROOT;
    $0 = $entry;
    @ARGV = ();
    # Before Perl's own, and after them what this build lacks of these.
    @INC = (library(map { ROOT . "/$_" } LIBRARIES), @INC, library('/dayfly'));
    my $app = run_file($entry);
    $app = $app->to_app if builtin::blessed($app) && $app->can('to_app');
    return $app if ref $app && eval { local $SIG{__DIE__}; \&{$app} };
    die "`$entry` has no app: its last value has to be one (PSGI)\n";
}

# The value that a file ends with. It is compiled outside of our scope, as a main program.
sub run_file ($entry) {
    package main;
    my $value = do $entry;
    return $value if !$@;
    # It is known already what this came through.
    local $SIG{__DIE__};
    die $@;
}

# Handles the one request, or event, of a thawed instance. That it throws says that it failed.
sub handle {
    my $request = Dayfly::Request->new(splice @ARGV);
    my $answer = Dayfly::Answer->new($output, $request->is_event);
    thaw($request);
    local $SIG{__DIE__} = \&remember;
    eval { $answer->take(scalar $app->($request->environment)); 1 } or do {
        print STDERR told($@);
        $answer->fail;
    };
    die "failed\n" if !$answer->has_succeeded;
}

# Makes new what a thawed instance must not share with the others.
sub thaw ($request) {
    $thawed = 1;
    srand unpack 'L', random_bytes(4);
    $^T = time;
    $request->renew_environment;
}

# Bytes that nobody can guess, which `rand` does not give.
sub random_bytes ($count) {
    die "random bytes would be the same in every instance: ask for them at a request\n" if !$thawed;
    my $bytes = '';
    $bytes .= pack 'H*', entropy() while length $bytes < $count;
    return substr $bytes, 0, $count;
}

# Called as an exception is thrown, also one that the app will catch.
sub remember ($exception) {
    ($thrown, $trace) = ($exception, '');
    for (my $depth = 1; my (undef, $file, $line, $name) = caller $depth; ++$depth) {
        last if $depth > 50 || $name =~ /^Dayfly::(?:handle|initialize)\z/;
        next if $file =~ m{^/dayfly/} || $name =~ /^Dayfly::/;
        $name = 'eval {...}' if $name eq '(eval)';
        $trace .= "\t$name called at $file line $line\n";
    }
}

# An exception as Perl tells it, and the calls that it came through.
sub told ($exception) {
    my $text = "$exception";
    $text .= "\n" if $text !~ /\n\z/;
    $text .= $trace if "$thrown" eq "$exception";
    utf8::encode($text) if utf8::is_utf8($text);
    return $text;
}

1;
