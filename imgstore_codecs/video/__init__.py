"""Video through PyAV: exact reading of any file, and writing of files that survive a kill."""
