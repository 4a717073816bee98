"""Colour, and the encodings of raw sensor data."""
