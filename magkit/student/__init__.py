"""Networks trained on inverted frames and tested on real ones."""
