"""The codecs that ship with imgstore, each written as one of a separate package would be."""
