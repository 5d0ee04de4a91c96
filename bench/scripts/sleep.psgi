sub {
    my $env = shift;
    select(undef, undef, undef, $env->{QUERY_STRING});
    [200, ["content-type", "text/plain"], ["awake\n"]]
}
