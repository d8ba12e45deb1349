"""Supervised training of magnifiers on scenes with known motion."""
