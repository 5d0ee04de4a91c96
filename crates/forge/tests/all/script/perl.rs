//! Perl's handlers, by PSGI.

use dayfly_forge::script::Language::Perl;

use super::running::App;

fn app(text: &str) -> App {
    App::new(Perl, &[("app.psgi", text)])
}

const FAILED: (&[&str], &str) =
    (&["Status: 500", "Content-Type: text/plain"], "Internal Server Error\n");

#[test]
fn a_request_is_answered() {
    let app = app(r#"
        sub {
            my $env = shift;
            my @names = qw(REQUEST_METHOD SCRIPT_NAME PATH_INFO REQUEST_URI HTTP_X_ONE psgi.url_scheme);
            $env->{'psgi.input'}->read(my $body, $env->{CONTENT_LENGTH});
            print "to the log\n";
            return [201, ['Content-Type' => 'text/plain', 'Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2'],
                    [join(' ', @$env{@names}), ' ', $body]];
        };
    "#);
    let more = [("HTTP_X_ONE", "eins"), ("HTTPS", "on"), ("X_RAW_PATH_INFO", "/a%2Fb/%C3%BC")];
    let answer = app.request("POST", "/a/b/ü?c=d", &more, "Grüße");
    let (head, body) = answer.parts();
    let expected =
        ["Status: 201", "Content-Type: text/plain", "Set-Cookie: a=1", "Set-Cookie: b=2"];
    assert_eq!(head, expected, "{answer:?}");
    assert_eq!(body, "POST  /a/b/ü /a%2Fb/%C3%BC?c=d eins https Grüße");
    assert!(answer.succeeded);
    assert_eq!(answer.errors, "to the log\n");
}

#[test]
fn the_environment_is_what_psgi_asks_for() {
    let app = app(r#"
        sub {
            my $env = shift;
            my %shown = map { $_ => $env->{$_} } grep { !/^psgi\.(?:input|errors|version)$/ } keys %$env;
            my $version = join '.', @{$env->{'psgi.version'}};
            return [200, [], [join "\n", "version=$version", map { "$_=$shown{$_}" } sort keys %shown]];
        };
    "#);
    let mounted = [("SCRIPT_NAME", "/shop/"), ("NAME", "the app's"), ("REMOTE_USER", "")];
    let answer = app.request("GET", "/a b", &mounted, "");
    let expected = [
        "version=1.1",
        "CONTENT_LENGTH=0",
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_HOST=example.test",
        "PATH_INFO=/a b",
        "QUERY_STRING=",
        "REMOTE_ADDR=192.0.2.7",
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/shop/a%20b",
        "SCRIPT_NAME=/shop",
        "SERVER_NAME=example.test",
        "SERVER_PORT=80",
        "SERVER_PROTOCOL=HTTP/1.1",
        "psgi.multiprocess=1",
        "psgi.multithread=",
        "psgi.nonblocking=",
        "psgi.run_once=1",
        "psgi.streaming=1",
        "psgi.url_scheme=http",
    ];
    assert_eq!(answer.body().lines().collect::<Vec<_>>(), expected, "{answer:?}");
}

#[test]
fn a_json_page_is_made_with_modules_of_the_app_and_of_perl() {
    let app = App::new(
        Perl,
        &[
            (
                "app.pl",
                r#"
                    use strict;
                    use warnings;
                    use Encode;
                    use JSON::PP;
                    use Greeting;
                    my $json = JSON::PP->new->utf8->canonical;
                    my $app = sub {
                        my $env = shift;
                        require Late;
                        my $page = { hello => Greeting::name() . Late::mark(), path => decode('UTF-8', $env->{PATH_INFO}) };
                        return [200, ['Content-Type' => 'application/json'], [$json->encode($page)]];
                    };
                "#,
            ),
            ("lib/Greeting.pm", "package Greeting; use Vendored; sub name { Vendored::name() } 1;"),
            ("lib/Late.pm", "package Late; sub mark { local $/; readline DATA } 1;\n__DATA__\n!"),
            ("local/lib/perl5/Vendored.pm", "package Vendored; sub name { 'world' } 1;"),
        ],
    );
    let answer = app.get("/ü");
    assert_eq!(answer.body(), r#"{"hello":"world!","path":"/ü"}"#, "{answer:?}");
}

#[test]
fn what_becomes_an_app_is_one() {
    let app = app(r#"
        package Component;
        sub new { bless { hits => 0 }, shift }
        sub to_app { my $self = shift; sub { [200, [], [ref $self, ' ', ++$self->{hits}]] } }
        package main;
        Component->new;
    "#);
    assert_eq!(app.get("/").body(), "Component 1");
    assert_eq!(app.get("/").body(), "Component 1");
}

#[test]
fn bodies_stream_both_ways() {
    let app = app(r#"
        package Pieces;
        sub new { bless ['one ', 'two '], shift }
        sub getline { shift @{$_[0]} }
        sub close { print STDERR 'closed' }
        package main;
        sub {
            my $env = shift;
            return [200, [], Pieces->new] if $env->{PATH_INFO} eq '/getline';
            if ($env->{PATH_INFO} eq '/handle') {
                open my $body, '<', \ 'from a handle';
                return [200, [], $body];
            }
            return sub { $_[0]->([200, [], ['later']]) } if $env->{PATH_INFO} eq '/later';
            return sub {
                my $writer = $_[0]->([200, []]);
                while ($env->{'psgi.input'}->read(my $piece, 4)) { $writer->write(uc $piece) }
                $writer->close;
            };
        };
    "#);
    let pieces = app.get("/getline");
    assert_eq!((pieces.body(), &*pieces.errors), ("one two ", "closed"));
    assert_eq!(app.get("/handle").body(), "from a handle");
    assert_eq!(app.get("/later").body(), "later");
    let text = "long ".repeat(30_000);
    assert_eq!(app.request("POST", "/", &[], &text).body(), text.to_uppercase());
}

#[test]
fn what_is_thrown_is_told_to_the_log_alone() {
    let app = app(r#"
package Problem { use overload '""' => sub { "problem $_[0]{code}" } }
sub inner { die 'kaputt' }
sub {
    my $path = $_[0]{PATH_INFO};
    exit 3 if $path eq '/exit';
    die bless { code => 7 }, 'Problem' if $path eq '/object';
    return [200, [], ["\x{263a}"]] if $path eq '/wide';
    eval { die "caught\n" };
    inner();
};
"#);
    let answer = app.get("/");
    let (head, body) = answer.parts();
    assert_eq!((&*head, body), FAILED);
    let trace = "kaputt at /app/app.psgi line 3.\n\
        \tmain::inner called at /app/app.psgi line 10\n";
    assert_eq!(answer.errors, trace);
    for (path, told) in [
        ("/exit", "the script called `exit(3)` at /app/app.psgi line 6.\n"),
        ("/object", "problem 7\n"),
        ("/wide", "the answer has characters that are no bytes: encode them\n"),
    ] {
        let answer = app.get(path);
        assert_eq!((answer.parts().1, &*answer.errors), (FAILED.1, told));
    }
}

#[test]
fn an_answer_that_is_none_ends_in_an_error() {
    for (text, told) in [
        ("sub { undef }", "the app's response is no array of a status, headers and a body\n"),
        ("sub { [200, []] }", "the app gave no body\n"),
        ("sub { sub { } }", "the app gave no answer\n"),
        (r#"sub { [200, ['A', "b\nC: d"], []] }"#, "a header has a line break: A: b\nC: d\n"),
    ] {
        let answer = app(text).get("/");
        assert_eq!((answer.parts().1, &*answer.errors), (FAILED.1, told), "{text}");
    }
}

#[test]
fn a_script_that_cannot_be_loaded_says_why() {
    let error = app("use strict;\n$missing = 1;\n").error();
    assert!(error.contains("Global symbol \"$missing\"") && error.contains("line 2"), "{error}");
    let error = app("sub f { die 'kaputt' }\nf();").error();
    assert!(error.starts_with("kaputt at /app/app.psgi line 1.\n"), "{error}");
    assert!(error.contains("\tmain::f called at /app/app.psgi line 2\n"), "{error}");
    let error = app("use No::Such::Module;").error();
    assert!(error.contains("Can't locate No/Such/Module.pm in @INC"), "{error}");
    assert_eq!(
        app("1").error(),
        "`/app/app.psgi` has no app: its last value has to be one (PSGI)\n"
    );
    assert_eq!(app("exit 3").error(), "the script called `exit(3)` at /app/app.psgi line 1.\n");
    let error = app("Dayfly::random_bytes(8); sub { }").error();
    assert!(error.starts_with("random bytes would be the same in every instance"), "{error}");
    let error = app("die \"Größe\\n\"").error();
    assert_eq!(error, "Größe\n");
}

#[test]
fn an_event_comes_as_a_request() {
    let app = app(r#"
        sub {
            my $env = shift;
            $env->{'psgi.input'}->read(my $data, 100);
            return [$env->{HTTP_CE_STATUS} // 200, [], [$env->{HTTP_CE_TYPE}, ' ', $data]];
        };
    "#);
    let event = [("CE_ID", "1"), ("CE_TYPE", "dayfly.queue.message"), ("CONTENT_LENGTH", "4")];
    let answer = app.event(&event, "data");
    assert!(answer.succeeded, "{answer:?}");
    assert_eq!(answer.output, "dayfly.queue.message data");
    let refused = [&event[..], &[("CE_STATUS", "503")]].concat();
    assert!(!app.event(&refused, "data").succeeded);
}

/// What an app of these lines answers to `more`, twice: one line a value.
fn twice(text: &str, more: [&[(&str, &str)]; 2]) -> [Vec<String>; 2] {
    let app = app(text);
    more.map(|more| {
        let answer = app.request("GET", "/", more, "");
        assert_eq!(answer.errors, "");
        answer.body().lines().map(str::to_owned).collect()
    })
}

#[test]
fn what_was_random_before_the_freeze_differs() {
    let [one, two] = twice(
        r#"
        use List::Util qw(shuffle);
        sub values_now {
            return (rand, int rand 1e9, join(',', shuffle 1 .. 50));
        }
        srand 7;
        my @before = values_now();
        sub { [200, [], [map { "$_\n" } values_now(), unpack 'H*', Dayfly::random_bytes(40)]] };
        "#,
        [&[], &[]],
    );
    assert_eq!(one.len(), 4);
    assert_eq!(one[3].len(), 80);
    assert!(one.iter().zip(&two).all(|(one, two)| one != two), "{one:?} {two:?}");
}

#[test]
fn the_clocks_go_on_and_the_environment_is_the_requests() {
    let [one, two] = twice(
        r#"
        use Time::HiRes ();
        $ENV{KEPT} = 'kept';
        my $before = Time::HiRes::time();
        sub {
            my @clocks = (Time::HiRes::time() - $before, time - $^T);
            [200, [], [map { "$_\n" } @clocks, map { $_ // 'none' } @ENV{qw(GREETING NAME KEPT HTTP_HOST)}]];
        };
        "#,
        [&[("GREETING", "hello"), ("NAME", "Jürgen")], &[("GREETING", "bonjour")]],
    );
    assert_eq!(one[1..], ["0", "hello", "Jürgen", "kept", "none"]);
    assert_eq!(two[1..], ["0", "bonjour", "none", "kept", "none"]);
    let [one, two] = [&one, &two].map(|values| values[0].parse::<f64>().unwrap());
    assert!(0.0 < one && one < two, "{one} {two}");
}

#[test]
fn deep_recursion_has_room() {
    let app = app(r#"
        no warnings 'recursion';
        sub depth { my $left = shift; $left ? 1 + depth($left - 1) : 0 }
        sub nested { my $left = shift; eval { $left ? nested($left - 1) : die "deep\n"; 1 } or die $@ }
        sub { eval { nested(200) }; [200, [], [depth(50_000), ' ', $@]] };
    "#);
    assert_eq!(app.get("/").body(), "50000 deep\n");
}

#[test]
fn what_this_build_lacks_of_perls_own_modules_is_there_in_part() {
    let app = app(r#"
        use POSIX qw(ceil floor strftime :errno_h);
        use Storable qw(dclone);
        my $first = { list => [1, { deep => \ 'text' }] };
        my $second = dclone($first);
        $second->{list}[1]{deep} = 'other';
        my $made = strftime('%Y-%m-%dT%H:%M:%S', gmtime 1_700_000_000);
        my @found = (
            ceil(1.2), floor(-1.2), POSIX::fmod(-7, 3), EAGAIN, $made, strftime('%F', 0, 0, 0, 32, 11, 123),
            POSIX::mktime(gmtime 1_700_000_000), POSIX::strtol('0x1f', 16), ${$first->{list}[1]{deep}},
        );
        sub { [200, [], [join ' ', @found]] };
    "#);
    let answer = app.get("/");
    let expected = "2 -2 -1 6 2023-11-14T22:13:20 2024-01-01 1700000000 31 0 text";
    assert_eq!(answer.body(), expected, "{answer:?}");
}
