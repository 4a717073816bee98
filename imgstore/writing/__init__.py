"""The way in: from the frames that a user has to the files of a store."""
