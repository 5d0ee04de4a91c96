"""The app's variables, which `variables` grants."""

from dayfly.bridge import call


def get(name):
    """The variable's value, a text."""
    return call("variables.get", name)
