"""What packets of the several codecs say about pictures, read without decoding them."""
