//! Real frameworks, as their registries have them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use dayfly_forge::script::Language::{JavaScript, Perl, Ruby};
use tempfile::TempDir;

use super::running::App;

/// The folder that a package manager filled with `packages`, once; `command` is given where to.
fn fetched(name: &str, command: impl FnOnce(&Path) -> Command) -> PathBuf {
    let root = dayfly_testing::workspace().join("target/packages");
    std::fs::create_dir_all(&root).expect("a folder");
    let lock = File::create(root.join(format!(".{name}.lock"))).expect("a file");
    lock.lock().expect("one at a time");
    let folder = root.join(name);
    if folder.is_dir() {
        return folder;
    }
    let new = tempfile::tempdir_in(&root).expect("a folder");
    let done = command(new.path()).output().expect("the package manager is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::rename(new.keep(), &folder).expect("the folder is renamed");
    folder
}

fn npm(package: &'static str) -> PathBuf {
    let folder = fetched(package, |folder| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"])
            .args(["--no-package-lock", "--prefix"])
            .arg(folder)
            .arg(package)
            .current_dir(folder);
        npm
    });
    folder.join("node_modules")
}

#[test]
fn hono_serves() {
    let modules = npm("hono@4.13.19");
    // Its own hello page.
    let hello = "import { Hono } from 'hono'
         const app = new Hono()
         app.get('/', c => c.text('Hono!'))
         export default app";
    let hello = App::new(JavaScript, &[("app.js", hello)])
        .with_folder("node_modules", &modules)
        .bundled("app.js");
    assert_eq!(hello.get("/").body(), "Hono!");

    let shop = "import { Hono } from 'hono'
         import { html } from 'hono/html'
         import { cors } from 'hono/cors'
         import { etag } from 'hono/etag'
         import { basicAuth } from 'hono/basic-auth'
         import { getCookie, setSignedCookie } from 'hono/cookie'
         const app = new Hono()
         app.use(async (c, next) => { await next(); c.header('x-after', c.req.path) })
         app.use('/api/*', cors())
         app.use('/page', etag())
         app.use('/secret', basicAuth({ username: 'a', password: 'b' }))
         app.get('/api/items/:id{[0-9]+}', c => c.json({ id: Number(c.req.param('id')), q: c.req.query('q') }))
         app.post('/api/items', async c => c.json(await c.req.json(), 201))
         app.post('/form', async c => c.text((await c.req.parseBody()).name))
         app.get('/page', c => c.html(html`<p>${c.req.query('name')}</p>`))
         app.get('/secret', c => c.text('inside'))
         app.get('/cookie', async c => {
           await setSignedCookie(c, 'one', getCookie(c, 'zero'), 'secret')
           return c.redirect('/')
         })
         app.get('/fails', () => { throw new Error('kaputt') })
         export default app";
    let shop = App::new(JavaScript, &[("app.js", shop)])
        .with_folder("node_modules", &modules)
        .bundled("app.js");
    let item = shop.get("/api/items/7?q=a+b");
    let (head, body) = item.parts();
    assert_eq!(body, r#"{"id":7,"q":"a b"}"#);
    assert!(head.contains(&"access-control-allow-origin: *"), "{head:?}");
    assert!(head.contains(&"x-after: /api/items/7"), "{head:?}");
    assert_eq!(shop.get("/api/items/x").parts().0[0], "Status: 404");
    let json = [("CONTENT_TYPE", "application/json")];
    let made = shop.request("POST", "/api/items", &json, r#"{"a":[1]}"#);
    assert_eq!((made.parts().0[0], made.body()), ("Status: 201", r#"{"a":[1]}"#));
    let form = [("CONTENT_TYPE", "application/x-www-form-urlencoded")];
    assert_eq!(shop.request("POST", "/form", &form, "name=B%26C").body(), "B&C");
    let page = shop.get("/page?name=<b>");
    assert_eq!(page.body(), "<p>&lt;b&gt;</p>");
    assert!(page.parts().0.iter().any(|line| line.starts_with("etag: \"")), "{page:?}");
    assert_eq!(shop.get("/secret").parts().0[0], "Status: 401");
    let login = [("HTTP_AUTHORIZATION", "Basic YTpi")];
    assert_eq!(shop.request("GET", "/secret", &login, "").body(), "inside");
    let cookie = shop.request("GET", "/cookie", &[("HTTP_COOKIE", "zero=0")], "");
    let (head, _) = cookie.parts();
    assert_eq!(head[0], "Status: 302");
    assert!(head.iter().any(|line| line.starts_with("set-cookie: one=0.")), "{head:?}");
    let fails = shop.get("/fails");
    assert_eq!(fails.parts().0[0], "Status: 500");
    assert!(fails.errors.contains("kaputt"), "{fails:?}");
}

/// Debian's packages of Sinatra and what it needs, as a folder of gems; with what was in the standard
/// library of Debian's Ruby and is a gem now.
fn sinatra() -> PathBuf {
    const PACKAGES: [&str; 6] = [
        "ruby-sinatra",
        "ruby-rack",
        "ruby-rack-protection",
        "ruby-mustermann",
        "ruby-tilt",
        "ruby-ruby2-keywords",
    ];
    let folder = fetched("debian-sinatra", |folder| {
        let mut apt = Command::new("sh");
        let script = "apt-get download \"$@\" && for it in *.deb; do dpkg-deb -x $it .; done &&
             mkdir -p gems/tilt && mv usr/share/rubygems-integration/all/gems/* gems &&
             mv usr/lib/ruby/vendor_ruby gems/tilt/lib &&
             mkdir -p gems/former/lib &&
             cd \"$(ruby -e 'puts RbConfig::CONFIG[%(rubylibdir)]')\" &&
             cp -r ostruct.rb base64.rb logger.rb logger \"$OLDPWD/gems/former/lib\"";
        apt.args(["-ec", script, "sh"]).args(PACKAGES).current_dir(folder);
        apt
    });
    folder.join("gems")
}

#[test]
fn sinatra_serves() {
    // Its own hello page, by Rack's own builder.
    let config = "require 'sinatra'
         get('/frank-says') { 'Put this in your pipe & smoke it!' }
         run Sinatra::Application";
    let hello = App::new(Ruby, &[("config.ru", config)]).with_folder("vendor/gems", &sinatra());
    assert_eq!(hello.get("/frank-says").body(), "Put this in your pipe & smoke it!");

    let shop = "require 'sinatra/base'
         require 'json'
         class Shop < Sinatra::Base
           set :show_exceptions, false
           set :raise_errors, false
           before { headers 'x-before' => request.path_info }
           helpers { def shout(text) = text.upcase }
           get('/items/:id') { |id| content_type :json; JSON.generate(id:, q: params['q']) }
           post('/form') { shout(params['name']) }
           get('/page') { erb '<p><%= Rack::Utils.escape_html(params[:name]) %></p>', layout: '<main><%= yield %></main>' }
           get('/fails') { raise 'kaputt' }
           error(RuntimeError) { 'sorry: ' + env['sinatra.error'].message }
           not_found { 'nothing here' }
         end";
    let config = "require_relative 'shop'\nuse Rack::ETag\nrun Shop";
    let files = [("config.ru", config), ("shop.rb", shop)];
    let shop = App::new(Ruby, &files).with_folder("vendor/gems", &sinatra());
    let item = shop.get("/items/7?q=a+b");
    let (head, body) = item.parts();
    assert_eq!(body, r#"{"id":"7","q":"a b"}"#);
    let has = |line: &str| head.iter().any(|found| found.eq_ignore_ascii_case(line));
    assert!(has("content-type: application/json") && has("x-before: /items/7"), "{head:?}");
    let form = [("CONTENT_TYPE", "application/x-www-form-urlencoded")];
    assert_eq!(shop.request("POST", "/form", &form, "name=b%26c").body(), "B&C");
    assert_eq!(shop.get("/page?name=<b>").body(), "<main><p>&lt;b&gt;</p></main>");
    assert_eq!(shop.get("/none").body(), "nothing here");
    let fails = shop.get("/fails");
    assert_eq!((fails.parts().0[0], fails.body()), ("Status: 500", "sorry: kaputt"));
}

/// A folder where bundler has installed a gem of ours, by these words.
fn bundled(words: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let gem = "Gem::Specification.new do |it|
                 it.name = 'greet'
                 it.version = '1.0.0'
                 it.summary = 'It greets'
                 it.authors = ['a cat']
                 it.files = ['lib/greet.rb']
               end";
    let files = [
        ("greet/greet.gemspec", gem),
        ("greet/lib/greet.rb", "module Greet; def self.hello = 'hello from a gem'; end"),
        ("app/Gemfile", "source 'https://gems.example'\ngem 'greet'\n"),
    ];
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("the file is written");
    }
    // From its cache, so that nobody is asked.
    let script = format!(
        "mkdir -p app/vendor/cache && cd greet &&
         gem build greet.gemspec -o ../app/vendor/cache/greet-1.0.0.gem && cd ../app && {words}"
    );
    let mut shell = Command::new("sh");
    shell.args(["-ec", &script]).current_dir(folder.path()).env("HOME", folder.path());
    let done = shell.output().expect("there is a shell");
    assert!(done.status.success(), "{done:?}");
    folder
}

#[test]
fn gems_of_bundler_are_found() {
    for (words, place) in [
        ("bundle config set --local path vendor/bundle && bundle install --local", "vendor/bundle"),
        ("bundle install --local --standalone", "bundle"),
    ] {
        let folder = bundled(words);
        let script = "require 'greet'\nrun ->(env) { [200, {}, [Greet.hello]] }";
        let app = App::new(Ruby, &[("app.rb", script)])
            .with_folder(place, &folder.path().join("app").join(place));
        assert_eq!(app.get("/").body(), "hello from a gem", "{words}");
    }
}

/// Debian's packages of Plack and what it needs, as a folder of modules.
fn plack() -> PathBuf {
    const PACKAGES: [&str; 18] = [
        "libapache-logformat-compiler-perl",
        "libcookie-baker-perl",
        "libdevel-stacktrace-ashtml-perl",
        "libdevel-stacktrace-perl",
        "libfile-sharedir-perl",
        "libhash-multivalue-perl",
        "libhttp-date-perl",
        "libhttp-entity-parser-perl",
        "libhttp-headers-fast-perl",
        "libhttp-message-perl",
        "libhttp-multipartparser-perl",
        "libjson-maybexs-perl",
        "libplack-perl",
        "libstream-buffered-perl",
        "libtemplate-tiny-perl",
        "libtry-tiny-perl",
        "liburi-perl",
        "libwww-form-urlencoded-perl",
    ];
    let folder = fetched("debian-plack", |folder| {
        let mut apt = Command::new("sh");
        let script = "apt-get download \"$@\" && for it in *.deb; do dpkg-deb -x $it .; done";
        apt.args(["-ec", script, "sh"]).args(PACKAGES).current_dir(folder);
        apt
    });
    folder.join("usr/share/perl5")
}

#[test]
fn plack_serves() {
    let shop = r#"
        use strict;
        use warnings;
        use JSON::PP;
        use Plack::Builder;
        use Plack::Request;
        use Template::Tiny;

        my $template = Template::Tiny->new;
        my $page = sub {
            my $request = Plack::Request->new(shift);
            $template->process(\ '<p>[% name %]</p>', { name => scalar $request->param('name') }, \ my $html);
            my $response = $request->new_response(200, ['Content-Type' => 'text/html'], $html);
            $response->cookies->{seen} = { value => 1, httponly => 1 };
            return $response->finalize;
        };
        my $items = sub {
            my $request = Plack::Request->new(shift);
            return [201, ['Content-Type' => 'application/json'], [$request->content]];
        };
        builder {
            enable 'ContentLength';
            enable 'Runtime';
            mount '/page' => $page;
            mount '/api/items' => $items;
            mount '/form' => sub { [200, [], [Plack::Request->new(shift)->body_parameters->{name}]] };
            mount '/fails' => sub { die 'kaputt' };
        };
    "#;
    let shop = App::new(Perl, &[("app.psgi", shop)]).with_folder("local/lib/perl5", &plack());
    let page = shop.get("/page?name=a+b");
    let (head, body) = page.parts();
    assert_eq!(body, "<p>a b</p>", "{page:?}");
    assert!(head.contains(&"Content-Length: 10"), "{head:?}");
    assert!(head.contains(&"Set-Cookie: seen=1; HttpOnly"), "{head:?}");
    assert!(head.iter().any(|line| line.starts_with("X-Runtime: 0.")), "{head:?}");
    let json = [("CONTENT_TYPE", "application/json")];
    let made = shop.request("POST", "/api/items", &json, r#"{"a":[1]}"#);
    assert_eq!((made.parts().0[0], made.body()), ("Status: 201", r#"{"a":[1]}"#));
    let form = [("CONTENT_TYPE", "application/x-www-form-urlencoded")];
    assert_eq!(shop.request("POST", "/form", &form, "name=B%26C").body(), "B&C");
    assert_eq!(shop.get("/nothing").parts().0[0], "Status: 404");
    let fails = shop.get("/fails");
    assert_eq!(fails.parts().0[0], "Status: 500");
    assert!(fails.errors.starts_with("kaputt at /app/app.psgi line "), "{fails:?}");
}
