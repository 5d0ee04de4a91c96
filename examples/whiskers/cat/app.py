"""The cat's mind. It keeps nothing: whoever asks tells it what it wanted last, and it wants something else.

It also wakes by itself, at each ring of the dinner bell, and finds that it is hungry.
"""

import json
import random
from urllib.parse import parse_qs

import dayfly

SEA = "Something that has been in the sea."
FARM = "Something from the farm."
BONES = "Something with bones in it, as it should be."
SOFT = "Something without a single bone."
COLD = "Something cold."
LEGS = "Something that used to walk about on legs."

# Of each treat: what is true of another as well; what says more; and what gives it away.
CLUES = {
    "sardine": (
        [SEA, BONES, COLD],
        ["It is silver, and it swam.", "It lies in a tin, next to its brothers."],
        ["A sardine. Obviously.", "The fish. The silver one. Now."],
    ),
    "cream": (
        [FARM, SOFT, COLD],
        ["It leaves a white moustache.", "It needs no chewing, and makes me round."],
        ["Cream, in the good saucer.", "Cream. Do I have to spell it?"],
    ),
    "chicken": (
        [FARM, BONES, LEGS],
        ["It used to say cluck.", "It comes out of the oven with a crisp skin."],
        ["Chicken. A leg of it.", "The drumstick, and no vegetables."],
    ),
    "shrimp": (
        [SEA, SOFT, LEGS],
        ["It curls up, as I do, and is pink.", "It has whiskers, like me, and more legs."],
        ["A shrimp. Peeled.", "The shrimp! The pink one!"],
    ),
}

WHIMS = [
    "On second thought, no.",
    "That was then. This is now.",
    "I have moved on.",
    "I have changed my mind. It is mine to change.",
    "Enough of that.",
    "I never liked it anyway.",
    "Let us not repeat ourselves.",
]


def app(environ, start_response):
    if environ.get("HTTP_CE_TYPE") == "dayfly.cron":
        return dinner_bell(start_response)
    if environ["PATH_INFO"] == "/wish":
        last = parse_qs(environ["QUERY_STRING"]).get("last", [""])[0]
        start_response("200 OK", [("content-type", "application/json")])
        return [json.dumps(wish(last)).encode()]
    start_response("404 Not Found", [("content-type", "text/plain")])
    return [b"The cat has no opinion on that.\n"]


def wish(last):
    treat = random.choice([treat for treat in CLUES if treat != last])
    return {
        "wish": treat,
        "clues": [random.choice(clues) for clues in CLUES[treat]],
        "whim": random.choice(WHIMS),
    }


def dinner_bell(start_response):
    """Only the judge may write down how hungry it is."""
    answer = dayfly.http.request("POST", "http://judge.spin.internal/meals", timeout=10)
    start_response("204 No Content" if answer.status == 200 else "503 Service Unavailable", [])
    return []
