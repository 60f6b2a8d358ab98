"""The networks, each in a table by name."""
