"""Images with targets: reading, checking, splitting, feeding."""
