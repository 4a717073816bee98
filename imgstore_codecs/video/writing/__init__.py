"""Frames into a video file that can be read while it grows."""
