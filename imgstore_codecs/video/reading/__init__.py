"""Frames out of a video file: where they are, and the shortest way to them."""
