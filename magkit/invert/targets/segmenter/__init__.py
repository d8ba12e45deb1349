"""A small network that gives every pixel a class: the default verifier."""
