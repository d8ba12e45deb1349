"""Training of encoders without labels: views, frames, methods, and what is measured of them."""
