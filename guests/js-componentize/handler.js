// A handler in the style of a service worker: componentize-js turns its fetch event
// into wasi:http/incoming-handler.

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  if (request.headers.has("ce-id")) {
    // An event: its data, and who had it.
    return new Response(`js(${await request.text()})`);
  }
  const url = new URL(request.url);
  switch (url.pathname) {
    case "/":
    case "/hello":
      return new Response("hello world");
    case "/echo":
      return new Response(request.body, { headers: contentType(request) });
    case "/headers":
      return new Response(headerLines(request, url));
    case "/fetch":
      return relay(url.searchParams.get("url"));
    case "/log":
      console.log("stdout line");
      console.error("stderr line");
      return new Response("logged\n");
    case "/page":
      return page(request);
    case "/throw":
      throw new Error("this handler throws when asked to");
    default:
      return new Response(`no such path: ${url.pathname}\n`, { status: 404 });
  }
}

// As bench/scripts/page.js has it, so that the two can be measured beside each other.
const escape = (text) => text.replace(/[&<>]/g, (c) => `&#${c.charCodeAt(0)};`);
const list = (items) => `<ul>${items.map((item) => `<li>${escape(item.name)}</li>`).join("")}</ul>`;
const all = Array.from({ length: 20 }, (_, i) => ({ name: `item <${i}>`, price: i * 1.5 }));

function page(request) {
  const items = all.slice(0, 10);
  return Response.json({ html: list(items), items, at: new Date().toISOString(), path: request.url });
}

function contentType(request) {
  const type = request.headers.get("content-type");
  return type ? { "content-type": type } : {};
}

function headerLines(request, url) {
  const lines = [`method ${request.method}`, `target ${url.pathname}${url.search}`];
  for (const [name, value] of request.headers) {
    lines.push(`${name}: ${value}`);
  }
  return lines.join("\n") + "\n";
}

async function relay(url) {
  try {
    const response = await fetch(url);
    return new Response(`status ${response.status}\n${await response.text()}`);
  } catch (error) {
    return new Response(`${error}\n`, { status: 502 });
  }
}
