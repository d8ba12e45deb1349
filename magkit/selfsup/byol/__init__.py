"""BYOL: bootstrap your own latent."""
