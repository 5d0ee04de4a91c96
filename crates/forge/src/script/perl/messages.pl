# What the host sends for an app, a package for each way, and language models. Names are texts, of characters;
# what is sent is bytes where nothing else is said.

# Messages to the app's own queues and to servers, which `messaging` grants.
package Dayfly::Messaging;

use v5.42;

our @ISA = 'Dayfly::Handle';

# A client; the app's own queues are behind `default`.
sub open ($class, $client = 'default') {
    return $class->new('types.client', Dayfly::Bridge::call('types.client.connect', $client));
}

# The options are `content_type`, and `metadata`, a hash of texts.
sub send ($self, $topic, $data, %given) {
    my ($type, $metadata) = delete @given{qw(content_type metadata)};
    Dayfly::Bridge::misused("a message has no option `$_`") for sort keys %given;
    my $message = Dayfly::Handle->new('types.message', Dayfly::Bridge::call('types.message.new', $data));
    $message->call('set-content-type', $type) if defined $type;
    $message->call('set-metadata', [map { [$_, $metadata->{$_}] } sort keys %$metadata]) if $metadata;
    return Dayfly::Bridge::call('producer.send', $self->number, $topic, $message->taken);
}

# The app's WebSockets, which a route with `websocket`, or `websockets`, grants. A connection goes by the id
# that events about it have as their subject. A message is a text, of characters, or a reference to bytes.
package Dayfly::WebSocket;

# Sends to one connection.
sub send ($class, $connection, $message) {
    return Dayfly::Bridge::call('connections.send', $connection, case_of($message));
}

# Sends to all connections that joined a topic; how many that are.
sub publish ($class, $topic, $message) {
    return Dayfly::Bridge::call('connections.publish', $topic, case_of($message));
}

sub join ($class, $connection, $topic) { Dayfly::Bridge::call('connections.join', $connection, $topic) }
sub leave ($class, $connection, $topic) { Dayfly::Bridge::call('connections.leave', $connection, $topic) }

sub close ($class, $connection, $code = 1000, $reason = '') {
    return Dayfly::Bridge::call('connections.close', $connection, $code, $reason);
}

sub case_of ($message) {
    return ref $message eq 'SCALAR' ? ['binary', $$message] : ['text', $message];
}

# Brokers of MQTT, which `allowed_outbound_hosts` grants.
package Dayfly::MQTT;

our @ISA = 'Dayfly::Handle';

my @QUALITIES = qw(at-most-once at-least-once exactly-once);

# A connection to a broker, `mqtt://host:port`. The options are `username`, `password`, and `keep_alive`, in
# seconds.
sub open ($class, $address, %given) {
    my ($username, $password, $keep_alive) = delete @given{qw(username password keep_alive)};
    Dayfly::Bridge::misused("a connection has no option `$_`") for sort keys %given;
    return $class->opened('mqtt.connection', $address, $username // '', $password // '', $keep_alive // 30);
}

# Publishes with the quality of service `qos`: 0, 1 or 2.
sub publish ($self, $topic, $payload, %given) {
    my $qos = delete $given{qos} // 1;
    Dayfly::Bridge::misused("a message has no option `$_`") for sort keys %given;
    Dayfly::Bridge::misused("a quality of service is 0, 1 or 2, not `$qos`") if $qos !~ /\A[012]\z/;
    return $self->call('publish', $topic, $payload, $QUALITIES[$qos]);
}

# Language models, which `ai_models` grants. Prompts and answers are texts.
package Dayfly::LLM;

my %DEFAULTS = (
    'max-tokens' => 100, 'repeat-penalty' => 1.1, 'repeat-penalty-last-n-token-count' => 64, temperature => 0.8,
    'top-k' => 40, 'top-p' => 0.9,
);

# What a model says to a prompt. The options are `max_tokens`, `temperature`, `top_p`, `top_k`,
# `repeat_penalty` and `repeat_penalty_last_n_token_count`; without any, the server decides. What comes back has
# `text`, `prompt_tokens` and `generated_tokens`.
sub infer ($class, $model, $prompt, %options) {
    my %given = map { tr/_/-/r => $options{$_} } keys %options;
    for my $name (sort keys %given) {
        Dayfly::Bridge::misused('a model has no option `' . $name =~ tr/-/_/r . '`') if !exists $DEFAULTS{$name};
    }
    my $told = Dayfly::Bridge::call('llm.infer', $model, $prompt, %given ? { %DEFAULTS, %given } : undef);
    my $usage = $told->{usage};
    return bless [$told->{text}, $usage->@{qw(prompt-token-count generated-token-count)}], 'Dayfly::Inferred';
}

# What texts mean to a model: an array of numbers each.
sub embed ($class, $model, $texts) {
    return Dayfly::Bridge::call('llm.generate-embeddings', $model, $texts)->{embeddings};
}

package Dayfly::Inferred;

sub text ($self) { $self->[0] }
sub prompt_tokens ($self) { $self->[1] }
sub generated_tokens ($self) { $self->[2] }

1;
