"""One module a format, each with sniff, read and, where it makes sense, write."""
