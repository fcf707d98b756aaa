"""One migration a file, applied in the order of their revisions."""
