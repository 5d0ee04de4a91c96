use v5.42;
use Dayfly;
use JSON::PP;

my %steps = (
    variables => sub ($name) { Dayfly::Variables->get($name) },

    key_value => sub ($label) {
        my $store = Dayfly::KeyValue->open($label || ());
        $store->set('a', 'one');
        $store->set('b', "\x00\xff");
        my @found = ($store->get('a'), [unpack 'C*', $store->get('b')], $store->get('c'));
        push @found, $store->exists('a'), [sort $store->keys->@*];
        $store->delete('a');
        return [@found, $store->exists('a')];
    },

    empty_key => sub ($) { Dayfly::KeyValue->open->set('', 'x') },

    sqlite => sub ($label) {
        my $database = Dayfly::SQLite->open($label || 'default');
        $database->execute('CREATE TABLE t (a, b, c, d, e, f)');
        $database->execute('INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)', [7, 2.5, 'text', \"\x00\x01", undef, true]);
        my @told = ($database->last_insert_rowid, $database->changes);
        my $rows = $database->execute('SELECT * FROM t WHERE a = ?', [7]);
        $rows->[0]{d} = [unpack 'C*', $rows->[0]{d}];
        return [@told, @$rows];
    },

    sql => sub ($statement) { Dayfly::SQLite->open->execute($statement =~ tr/+/ /r) },

    many => sub ($) {
        my $database = Dayfly::SQLite->open;
        my ($total, $length) = (0, 0);
        for my $count (10, 20_000, 300) {
            my $rows = $database->execute(
                'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)'
                    . q{ SELECT i, printf('%0100d', i) AS t FROM n},
                [$count],
            );
            for my $row (@$rows) {
                $total += $row->{i};
                $length += length $row->{t};
                die 'mixed up' if $row->{t} != $row->{i};
            }
        }
        return [$total, $length];
    },

    redis => sub ($address) {
        my $server = Dayfly::Redis->open($address);
        $server->set('a', 'one');
        my @found = ($server->get('a'), $server->get('none'), $server->incr('n'), $server->incr('n'));
        push @found, $server->sadd('s', 'x', 'y'), [sort $server->smembers('s')->@*], $server->srem('s', 'x');
        $server->publish('channel', 'message');
        push @found, $server->execute('SET', 'e', 5)->@*, $server->execute('GET', 'e')->@*;
        push @found, $server->execute('GET', 'none')->@*, $server->execute('DEL', 'e')->@*;
        return [@found, $server->delete('a', 'n')];
    },

    redis_type => sub ($address) {
        my $server = Dayfly::Redis->open($address);
        $server->set('a', 'one');
        return $server->incr('a');
    },

    postgres => sub ($address) {
        my $database = Dayfly::Postgres->open($address);
        $database->execute('CREATE TEMPORARY TABLE t (a bigint, b text, c boolean, d float8)');
        my $told = $database->execute('INSERT INTO t VALUES ($1, $2, $3, $4)', [7, 'text', true, undef]);
        return [$told, $database->query('SELECT * FROM t')->@*];
    },

    mysql => sub ($address) {
        my $database = Dayfly::MySQL->open($address);
        $database->execute('CREATE TEMPORARY TABLE t (a bigint, b text, d double)');
        $database->execute('INSERT INTO t VALUES (?, ?, ?)', [7, 'text', undef]);
        return $database->query('SELECT * FROM t');
    },

    database_error => sub ($address) { Dayfly::Postgres->open($address)->query('SELECT 1 FROM') },

    http => sub ($url) {
        my $answer = Dayfly::HTTP->request('GET', $url, headers => { 'x-one' => '1' });
        my @lines = split /\n/, $answer->body;
        my @posted = split /\n/, Dayfly::HTTP->request('POST', "$url/to?a=b", body => 'a body')->body;
        my @pieces = ('one ', 'two');
        my $streamed = Dayfly::HTTP->request('PUT', $url, body => sub { shift @pieces });
        return [
            $answer->status, $answer->headers->{'content-length'} eq length $answer->body,
            $lines[0], !!grep({ $_ eq 'x-one: 1' } @lines), $posted[0], $posted[-1],
            (split /\n/, $streamed->body)[-1],
        ];
    },

    status => sub ($url) { [map { Dayfly::HTTP->request('GET', $url)->status } 1 .. 2] },

    blobs => sub ($container) {
        my $store = Dayfly::Blobs->open($container || ());
        $store->set('a', 'one');
        $store->set('b/c', "\x00\xff");
        my @found = ($store->get('a'), [unpack 'C*', $store->get('b/c')], $store->get('none'), $store->exists('a'));
        push @found, [sort $store->keys->@*], $store->size('a');
        my @pieces = map { 'x' x 100_000 } 1 .. 3;
        $store->set('large', sub { shift @pieces });
        my ($large, $length) = ($store->read('large'), 0);
        while (defined(my $piece = $large->read)) {
            $length += length $piece;
        }
        push @found, $store->size('large'), $length, $store->read('a', 1, 2)->read;
        $store->delete('a');
        return [@found, $store->exists('a')];
    },

    no_blob => sub ($) { Dayfly::Blobs->open->read('none') },

    messaging => sub ($topic) {
        my $messages = Dayfly::Messaging->open;
        my %metadata = (number => 7, dayflydelay => '1h');
        $messages->send($topic, 'a text', content_type => 'text/x', metadata => \%metadata);
        $messages->send($topic, 'hi', metadata => { dayflydelay => '1h' });
        return undef;
    },

    messaging_client => sub ($name) { Dayfly::Messaging->open($name) },

    mqtt => sub ($address) {
        my $broker = Dayfly::MQTT->open($address, keep_alive => 10);
        $broker->publish('home/door', "open $_", qos => $_) for 0 .. 2;
        $broker->publish('home/door', 'closed');
        return undef;
    },

    mqtt_login => sub ($address) {
        my $broker = Dayfly::MQTT->open($address, username => 'me', password => 'opensesame');
        return $broker->publish('home/door', 'in');
    },

    llm => sub ($prompt) {
        my $answer = Dayfly::LLM->infer('test-model', $prompt);
        Dayfly::LLM->infer('test-model', $prompt, max_tokens => 7, temperature => 0.5);
        my $vectors = Dayfly::LLM->embed('test-model', ['a', 'bcd']);
        return [$answer->text, $answer->prompt_tokens, $answer->generated_tokens, $vectors];
    },

    llm_model => sub ($model) { Dayfly::LLM->infer($model, 'hello')->text },

    file => sub ($path) {
        open my $file, '<', $path or die "no file: $!";
        return readline $file;
    },
);

$steps{written} = sub ($path) {
    open my $file, '>', $path or die "not written: $!";
    print $file 'written';
    close $file;
    return $steps{file}->($path);
};

my $json = JSON::PP->new->utf8->allow_nonref;

sub ($env) {
    my $answer;
    try { $answer = $steps{ substr $env->{PATH_INFO}, 1 }->($env->{QUERY_STRING}) }
    catch ($error) {
        die $error if !($error isa Dayfly::Error);
        $answer = { kind => $error->kind, error => $error->message };
    }
    return [200, ['content-type' => 'text/plain'], [$json->encode($answer)]];
};
