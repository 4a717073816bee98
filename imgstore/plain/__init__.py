"""Videos and images that are in no store, read as if they were."""
