"""Magnifiers that are formulas: nothing is learnt, nothing is loaded."""
