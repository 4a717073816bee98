"""Checking a store, mending it, renumbering its frames."""
