import json
from datetime import datetime, timezone
from html import escape
from string import Template
from urllib.parse import quote

ITEM = Template("<li>$name</li>")
ITEMS = [{"name": f"item <{i}>", "price": i * 1.5} for i in range(20)]


def app(environ, start_response):
    items = ITEMS[:10]
    rows = (ITEM.substitute(name=escape(item["name"])) for item in items)
    body = {
        "html": f"<ul>{''.join(rows)}</ul>",
        "items": items,
        "at": datetime.now(timezone.utc).isoformat(),
        "path": quote(environ["PATH_INFO"]),
    }
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps(body).encode()]
