"""The training loop, run folders, checkpoints: shared by all that is trained."""
