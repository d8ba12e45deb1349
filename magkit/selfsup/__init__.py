"""Self-supervised training of encoders."""
