"""Adaptation of a magnifier to clips, without labels, and the verdict on it."""
