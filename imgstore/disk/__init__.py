"""What is on disk, byte by byte, and how it gets there whole."""
