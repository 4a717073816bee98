"""The way out: from a frame's number, time or position to the frame."""
