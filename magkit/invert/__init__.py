"""Model inversion: pictures and videos that a trained network takes for what it was asked for."""

DEFAULT_TARGET = "maskrcnn-small"
"""What is inverted unless told otherwise."""

DEFAULT_VERIFIER = "segmenter"
"""Who looks at the result unless told otherwise."""
