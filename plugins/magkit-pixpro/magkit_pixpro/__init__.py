"""PixPro, pixel-to-propagation consistency, for magkit."""
