"""Where bytes come from, and which files a person means by a path."""
