from urllib.parse import parse_qs


def app(environ, start_response):
    name = parse_qs(environ["QUERY_STRING"]).get("name", ["world"])[0]
    start_response("200 OK", [("content-type", "text/plain; charset=utf-8")])
    return [f"hello {name}\n".encode()]
