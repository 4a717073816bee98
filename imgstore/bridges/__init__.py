"""Stores for other libraries: one module for each, which imports its library when it is used."""
