"""Names of imgstore-shaliulab, a fork of imgstore 0.4 that labs record flies with, and which programs were written for.

They are here in one place, for they say nothing about how this package is built: what is mixed into stores and indexes, and
the keywords that the fork has for what is called otherwise here. The modules from which its programs import
(`imgstore.interface`, `imgstore.multistores`, `imgstore.stores.multi`, `imgstore.stores.utils`) are doors, as are those of 0.x.
Where there is a newer name, a warning tells it, once.
"""
