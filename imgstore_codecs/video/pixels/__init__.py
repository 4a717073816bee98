"""From decoded planes to gray or BGR, and the memory for it."""
