//! Real frameworks, as their registries have them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use dayfly_forge::script::Language::JavaScript;

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
    let hello = App::with_folder(JavaScript, &[("app.js", hello)], &modules, "node_modules");
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
    let shop = App::with_folder(JavaScript, &[("app.js", shop)], &modules, "node_modules");
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
