//! What scripts in JavaScript have of the web's API.

use dayfly_forge::script::Language::JavaScript;

use super::running::{Answer, App};

/// Answers with the values of an expression each, a line each; what it throws is its value too.
fn answer(expressions: &[&str]) -> Answer {
    let mut text = "const hex = bytes => new Uint8Array(bytes).toHex();
         const bytes = text => new TextEncoder().encode(text);
         const of = async act => {
           try { return String(await act()) } catch (error) { return error.name }
         };
         export default { async fetch(request) { const lines = [];"
        .to_owned();
    for expression in expressions {
        text += &format!("lines.push(await of(async () => {expression}));\n");
    }
    text += "return new Response(lines.join('\\n')) } }";
    App::new(JavaScript, &[("app.js", &text)]).get("/")
}

fn check(cases: &[(&str, &str)]) {
    let expressions: Vec<_> = cases.iter().map(|(expression, _)| *expression).collect();
    let answer = answer(&expressions);
    let expected: Vec<_> = cases.iter().map(|(_, expected)| *expected).collect();
    let found: Vec<_> = answer.body().split('\n').collect();
    assert_eq!(found, expected, "{}", answer.errors);
}

#[test]
fn addresses_are_read_and_written() {
    check(&[
        (
            "new URL('../x?y#z', 'https://u:p@EXAMPLE.com:443/a/b/c').href",
            "https://u:p@example.com/a/x?y#z",
        ),
        ("new URL('http://[1::0:0:2]:80/').host", "[1::2]"),
        ("new URL('http://0x7f.1').href", "http://127.0.0.1/"),
        ("new URL('http://256.1.1.1')", "TypeError"),
        ("new URL('http://bücher.de/ä b').href", "http://xn--bcher-kva.de/%C3%A4%20b"),
        ("new URL('file:///C|/a/../b').href", "file:///C:/b"),
        ("new URL('mailto:a@b').pathname", "a@b"),
        ("URL.canParse('nothing')", "false"),
        ("URL.parse('x:y').origin", "null"),
        (
            "{ const url = new URL('http://a/?b=1'); url.searchParams.append('c', 'd e&'); url.port = '81'; return url }",
            "http://a:81/?b=1&c=d+e%26",
        ),
        (
            "{ const url = new URL('http://a/?b=1'); const { searchParams } = url; url.search = '?c=%E4'; return searchParams.get('c') }",
            "\u{fffd}",
        ),
        ("[...new URLSearchParams({ b: 2, a: 'x+y' })].flat()", "b,2,a,x+y"),
        ("new URLSearchParams('a=1&a=2&b=%F0%9F%98%80').getAll('a')", "1,2"),
    ]);
}

#[test]
fn values_are_cloned() {
    check(&[
        ("{ const one = { m: new Map([[1, new Set([2])]]) }; one.self = one; const two = structuredClone(one);
            return [two.self === two, two !== one, two.m.get(1).has(2)] }", "true,true,true"),
        ("structuredClone(new RangeError('far', { cause: 1 })).cause", "1"),
        ("structuredClone(new Uint8Array([1, 2, 3]).subarray(1))", "2,3"),
        ("{ const buffer = new ArrayBuffer(4); const moved = structuredClone(buffer, { transfer: [buffer] });
            return [moved.byteLength, buffer.detached] }", "4,true"),
        ("structuredClone({ f() {} })", "DataCloneError"),
        ("structuredClone(request)", "DataCloneError"),
    ]);
}

#[test]
fn text_is_encoded() {
    check(&[
        ("btoa('h\u{e9}') + atob(' aOk= ').length", "aOk=2"),
        ("btoa('日')", "InvalidCharacterError"),
        (
            "(await Array.fromAsync(ReadableStream.from(['ä', '\\ud83d', '\\ude00'])
            .pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream()))).join('')",
            "ä😀",
        ),
    ]);
}

#[test]
fn digests_are_those_of_the_standard() {
    check(&[
        (
            "hex(await crypto.subtle.digest('SHA-1', bytes('abc')))",
            "a9993e364706816aba3e25717850c26c9cd0d89d",
        ),
        (
            "hex(await crypto.subtle.digest({ name: 'sha-256' }, bytes('')))",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        // By Python's `hashlib`, of bytes whose padding takes another block, and of many blocks.
        (
            "hex(await crypto.subtle.digest('SHA-256', new Uint8Array(56).fill(56))).slice(0, 8)",
            "16d5189d",
        ),
        (
            "hex(await crypto.subtle.digest('SHA-512', new Uint8Array(112).fill(112))).slice(0, 8)",
            "053937dd",
        ),
        (
            "hex(await crypto.subtle.digest('SHA-1', new Uint8Array(1000).fill(1000))).slice(0, 8)",
            "a1e0970e",
        ),
        (
            "hex(await crypto.subtle.digest('SHA-384', bytes('abc'))).slice(0, 16)",
            "cb00753f45a35e8b",
        ),
        (
            "hex(await crypto.subtle.digest('SHA-512', bytes('abc'))).slice(0, 16)",
            "ddaf35a193617aba",
        ),
        ("crypto.subtle.digest('MD5', bytes('abc'))", "NotSupportedError"),
    ]);
}

#[test]
fn messages_are_signed() {
    let key = "const hash = 'SHA-256';
         const key = await crypto.subtle.importKey('raw', bytes('key'), { name: 'HMAC', hash }, true, ['sign', 'verify']);
         const data = bytes('The quick brown fox jumps over the lazy dog');
         const signature = await crypto.subtle.sign('HMAC', key, data);";
    let cases = [
        ("hex(signature)", "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"),
        ("crypto.subtle.verify('HMAC', key, signature, data)", "true"),
        ("crypto.subtle.verify('HMAC', key, signature, data.subarray(1))", "false"),
        (
            "JSON.stringify(await crypto.subtle.exportKey('jwk', key))",
            r#"{"kty":"oct","k":"a2V5","alg":"HS256","key_ops":["sign","verify"],"ext":true}"#,
        ),
        (
            "(await crypto.subtle.generateKey({ name: 'HMAC', hash }, false, ['sign'])).algorithm.length",
            "512",
        ),
        (
            "crypto.subtle.importKey('raw', data, { name: 'AES-GCM' }, true, ['encrypt'])",
            "NotSupportedError",
        ),
    ];
    let cases =
        cases.map(|(expression, expected)| (format!("{{ {key} return {expression} }}"), expected));
    let cases: Vec<_> =
        cases.iter().map(|(expression, expected)| (&**expression, *expected)).collect();
    check(&cases);
}

#[test]
fn random_bytes_are_of_the_instance() {
    let app = App::new(
        JavaScript,
        &[(
            "app.js",
            "
        export default { fetch: () => new Response(
          `${crypto.randomUUID()} ${crypto.getRandomValues(new Uint8Array(8)).toHex()}`) }",
        )],
    );
    let [one, two] = [app.get("/"), app.get("/")];
    let pairs: Vec<_> = one.body().split(' ').zip(two.body().split(' ')).collect();
    assert_eq!(pairs.len(), 2, "{one:?}");
    assert!(pairs.iter().all(|(one, two)| one != two && one.len() == two.len()), "{pairs:?}");
    assert_eq!(pairs[0].0.as_bytes()[14], b'4', "{pairs:?}");

    let error = App::new(JavaScript, &[("app.js", "crypto.randomUUID()")]).error();
    assert!(error.contains("the same in every instance: ask in a request"), "{error}");
}

#[test]
fn forms_are_read() {
    let app = App::new(JavaScript, &[("app.js", "
        export default { async fetch(request) {
          const form = await request.clone().formData();
          const shown = [];
          for (const [name, value] of form) {
            shown.push([name, typeof value === 'string' ? value : [value.name, value.type, await value.text()]]);
          }
          const again = await new Response(form).formData();
          return Response.json([shown, [...again.keys()].length, (await request.text()).length]);
        } }")]);
    let body = "--b\r\nContent-Disposition: form-data; name=\"one\"\r\n\r\neins\r\n\
         --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a \u{e4}.txt\"\r\n\
         Content-Type: text/plain\r\n\r\n--\r\n-\r\n--b--\r\n";
    let more = [("CONTENT_TYPE", "multipart/form-data; boundary=b")];
    let answer = app.request("POST", "/", &more, body);
    let expected = format!(
        "[[[\"one\",\"eins\"],[\"file\",[\"a ä.txt\",\"text/plain\",\"--\\r\\n-\"]]],2,{}]",
        body.encode_utf16().count()
    );
    assert_eq!(answer.body(), expected, "{answer:?}");

    let more = [("CONTENT_TYPE", "application/x-www-form-urlencoded")];
    let answer = app.request("POST", "/", &more, "?a=b+c&d=%C3%A4");
    assert_eq!(answer.body(), r#"[[["?a","b c"],["d","ä"]],2,15]"#);
    let more = [("CONTENT_TYPE", "multipart/form-data; boundary=b")];
    let answer =
        app.request("POST", "/", &more, "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx");
    assert!(answer.errors.contains("the form is malformed"), "{answer:?}");
}

#[test]
fn blobs_and_messages_are_as_the_standards_have_them() {
    check(&[
        ("new Blob(['ab', new Uint8Array([99]), new Blob(['d'])]).slice(1, -1).text()", "bc"),
        ("new File(['x'], 'n.txt', { type: 'TEXT/plain' }).type", "text/plain"),
        ("{ const { type, status } = Response.error(); return [type, status] }", "error,0"),
        ("Response.redirect('http://a/b').headers.get('location')", "http://a/b"),
        ("Response.json(undefined)", "TypeError"),
        ("new Request('/relative')", "TypeError"),
        ("new Request('http://EXAMPLE.com').url", "http://example.com/"),
        ("{ const one = new Request('http://a', { method: 'POST', body: 'b' }); const two = one.clone();
            return [await one.text(), await two.text(), one.bodyUsed] }", "b,b,true"),
        ("(await new Response(new Blob(['x'], { type: 'a/b' })).blob()).type", "a/b"),
        ("performance.now() < 60000 && performance.timeOrigin > 1e12", "true"),
    ]);
}

#[test]
fn what_nobody_catches_is_told() {
    let app = App::new(
        JavaScript,
        &[(
            "app.js",
            "
        function lost() { return Promise.reject(new TypeError('nobody looks')) }
        export default { async fetch() {
          lost();
          const late = Promise.reject(new Error('looked at'));
          queueMicrotask(() => { throw new Error('in a microtask') });
          setTimeout(() => { throw new Error('in a timer') });
          await new Promise(done => setTimeout(done, 2));
          late.catch(() => {});
          return new Response('answered');
        } }",
        )],
    );
    let answer = app.get("/");
    assert_eq!(answer.body(), "answered");
    let errors = &*answer.errors;
    let trace = "unhandled rejection: TypeError: nobody looks\n    at lost (/app/app.js:2:";
    assert!(errors.contains(trace), "{errors}");
    assert!(errors.contains("uncaught: Error: in a microtask"), "{errors}");
    assert!(errors.contains("uncaught: Error: in a timer"), "{errors}");
    assert!(!errors.contains("looked at"), "{errors}");
}

#[test]
fn recursion_without_end_is_an_error_of_the_script() {
    let nested = "{ let list = []; for (let i = 0; i < 100000; i += 1) list = [list]; return";
    check(&[
        ("{ const dive = () => dive() + 1; return dive() }", "RangeError"),
        // What a script does on purpose has room.
        ("{ const dive = depth => depth && 1 + dive(depth - 1); return dive(1200) }", "1200"),
        ("{ const dive = () => [1].map(dive); return dive() }", "RangeError"),
        ("{ class A { get a() { return this.a } } return new A().a }", "RangeError"),
        ("{ const p = new Proxy({}, { get: (_, k, self) => self[k] }); return p.a }", "RangeError"),
        ("JSON.parse('['.repeat(100000))", "RangeError"),
        (
            "{ const own = { toJSON: () => JSON.stringify(own) }; return JSON.stringify(own) }",
            "RangeError",
        ),
        (&format!("{nested} structuredClone(list) }}"), "RangeError"),
        (&format!("{nested} String(list) }}"), "RangeError"),
        ("eval('('.repeat(100000))", "RangeError"),
    ]);
}
