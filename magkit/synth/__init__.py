"""Synthetic scenes with known sub-pixel motion: sources -> scene -> triplet."""
