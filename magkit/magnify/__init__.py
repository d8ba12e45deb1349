"""Motion magnification: networks, temporal filters, the streaming pipeline."""
