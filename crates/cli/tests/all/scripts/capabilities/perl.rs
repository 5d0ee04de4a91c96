//! What only Perl has: strings that are texts or bytes by their place, references that are counted, and
//! bodies by PSGI.

use dayfly_testing::Upstream;
use serde_json::json;

use super::{granted, step};
use crate::scripts::with_interpreters;

const APP: &str = r"
use v5.42;
use utf8;
use Dayfly;
use JSON::PP;

# What an exception says, without its place.
sub thrown ($run) {
    try { $run->() }
    catch ($error) { return $error =~ s/ at \S+ line \d+\.\n\z//r }
    return 'nothing was thrown';
}

my %steps = (
    key => sub ($) {
        my $store = Dayfly::KeyValue->open;
        $store->set('grüß€', 'value');
        return $store->keys;
    },
    sql => sub ($) {
        my $sql = 'SELECT ? AS ü, typeof(?) AS t, typeof(?) AS b, typeof(?) AS i, typeof(?) AS r';
        return Dayfly::SQLite->open->execute($sql, ['ä€', 'ä', \'ä', 2**62, 2**63]);
    },
    refused => sub ($url) {
        my ($store, $database) = (Dayfly::KeyValue->open, Dayfly::SQLite->open);
        return [
            map { thrown($_) }
                sub { $store->set('key', '€') },
                sub { $store->set('key', undef) },
                sub { $database->execute('SELECT ?', [{}]) },
                sub { Dayfly::HTTP->request('GET', 'nowhere') },
                sub { Dayfly::HTTP->request('GET', $url, color => 1) },
                sub { Dayfly::HTTP->request('GET', $url, headers => { 'a b' => 1 }) },
                sub { Dayfly::HTTP->request('PUT', $url, body => '€') },
                sub { Dayfly::HTTP->request('PUT', $url, body => sub { die 'on purpose' }) },
                sub { $store->close; $store->close; $store->get('key') },
        ];
    },
    counted => sub ($) {
        for (1 .. 1000) {
            my $store = Dayfly::KeyValue->open;
            $store->set('count', $_);
        }
        return Dayfly::KeyValue->open->get('count');
    },
    pieces => sub ($url) {
        my $answer = Dayfly::HTTP->request('GET', $url, headers => ['x-a', 1, 'x-b', 2], timeout => 30);
        my ($text, $longest) = ('', 0);
        while (defined(my $piece = $answer->read(3))) {
            $text .= $piece;
            $longest = length $piece if length $piece > $longest;
        }
        return [$longest, $text =~ /x-a: 1\nx-b: 2\n/ ? 'both' : $text];
    },
);

sub ($env) {
    my $url = $env->{QUERY_STRING};
    if ($env->{PATH_INFO} eq '/proxy') {
        my $answer = Dayfly::HTTP->request('PUT', $url, body => $env->{'psgi.input'});
        return [$answer->status, [], $answer];
    }
    my $told = $steps{ substr $env->{PATH_INFO}, 1 }->($url);
    return [200, [], [JSON::PP->new->utf8->allow_nonref->encode($told)]];
};
";

#[tokio::test]
async fn strings_references_and_bodies() {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let grants = format!(
        "key_value_stores = [\"default\"]\nsqlite_databases = [\"default\"]\n\
         allowed_outbound_hosts = [\"{url}\"]"
    );
    let app = granted("app.psgi", APP, &grants);
    let server = with_interpreters().up(app.folder()).await;

    assert_eq!(step(&server, "key").await, json!(["grüß€"]));
    let row = json!({ "ü": "ä€", "t": "text", "b": "blob", "i": "integer", "r": "real" });
    assert_eq!(step(&server, "sql").await, json!([row]));
    let no_bytes = "bytes are wanted, and this has other characters: encode it";
    let refused = json!([
        no_bytes,
        "a string of bytes is wanted, not `undef`",
        "a parameter is a text, a number, a boolean, `undef` or a reference to bytes",
        "`nowhere` is no URL that can be asked for: it is `http[s]://HOST[:PORT]/PATH`",
        "a request has no option `color`",
        "invalid syntax",
        no_bytes,
        "on purpose",
        "it is closed"
    ]);
    assert_eq!(step(&server, &format!("refused?{url}")).await, refused);
    // Each is closed before the next one opens: no more than 256 may be open.
    assert_eq!(step(&server, "counted").await, "1000");
    assert_eq!(step(&server, &format!("pieces?{url}")).await, json!([3, "both"]));

    let body = "0123456789".repeat(20_000);
    let told = server.post(&format!("/proxy?{url}"), body.clone()).await.text();
    assert!(told.starts_with("PUT / HTTP/1.1\n"), "{}", &told[..100]);
    assert!(told.ends_with(&format!("\n\n{body}")), "{}", told.len());
    server.stop().await;
}
