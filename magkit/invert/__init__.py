"""Model inversion: pictures and videos that a trained network takes for what it was asked for."""
