"""The training loop, run folders and checkpoints of pretraining and finetuning."""
