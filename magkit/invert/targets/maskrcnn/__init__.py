"""Mask R-CNN (He et al., ICCV 2017): torchvision's two, and the small one that ships."""
