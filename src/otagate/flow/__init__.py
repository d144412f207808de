"""Use cases: what a verb does, apart from reading arguments and rendering results."""
