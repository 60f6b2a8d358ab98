"""The networks. Each takes (B, H, W, C) uint8 and prepares pixels itself."""
