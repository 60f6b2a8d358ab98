"""The loop, what it minimises with, what it writes down."""
