"""One module for each step of the schema, named ``rNNNN_words.py``, with ``revision = "NNNN"``; see migrate."""
