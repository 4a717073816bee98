"""Tools for threads that know nothing of stores; codecs may use them."""
