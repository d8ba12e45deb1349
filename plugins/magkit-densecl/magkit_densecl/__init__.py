"""DenseCL, dense contrastive learning, as a method of `magkit pretrain`."""
