"""What was recorded beside the frames."""
