import time


def app(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"]))
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"awake\n"]
