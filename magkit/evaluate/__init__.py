"""Evaluation of magnifiers, encoders and magnified clips, and the demo."""
