"""Which CI this is, what it tells about the run, and how it wants to be told."""
