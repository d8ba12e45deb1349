"""torchvision's networks, and CIFAR-10's ResNets, as targets of `magkit invert`."""
