sub { [200, ['content-type' => 'text/plain'], ['hello world']] };
