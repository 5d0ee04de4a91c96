use v5.42;
use Dayfly;
use JSON::PP;

sub answer ($event, $connection, $data) {
    if ($event eq 'dayfly.websocket.open') {
        Dayfly::WebSocket->join($connection, 'lobby');
        return '';
    }
    if ($event eq 'dayfly.websocket.close') {
        Dayfly::KeyValue->open->set('closed', $connection);
        return '';
    }
    my ($word, $rest) = split / /, $data, 2;
    return 'to ' . Dayfly::WebSocket->publish('lobby', $rest) if $word eq 'say';
    Dayfly::WebSocket->send($connection, \"\x00\xff") if $word eq 'bytes';
    Dayfly::WebSocket->leave($connection, 'lobby') if $word eq 'leave';
    Dayfly::WebSocket->close($connection, 4001, 'bye') if $word eq 'close';
    return "heard $word";
}

sub handle ($env) {
    my ($event, $path) = $env->@{qw(HTTP_CE_TYPE PATH_INFO)};
    return Dayfly::KeyValue->open->get(substr $path, 1) // '' if !defined $event;
    my $subject = $env->{HTTP_CE_SUBJECT};
    my $data = do { local $/; readline $env->{'psgi.input'} } // '';
    utf8::decode(my $text = $data);
    return answer($event, $subject, $text) if $event =~ /^dayfly\.websocket\./;
    die 'on purpose' if $data eq 'fail';
    my $told = [$subject, $text, $env->{CONTENT_TYPE}, $env->{REQUEST_METHOD}, $path];
    Dayfly::KeyValue->open->set($event, encode_json($told));
    return uc $data;
}

sub ($env) { [200, ['content-type' => 'text/plain'], [handle($env)]] };
