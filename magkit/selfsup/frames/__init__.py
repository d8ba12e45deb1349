"""Frames without labels: where they come from, and numbered batches of them."""
