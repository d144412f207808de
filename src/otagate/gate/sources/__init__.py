"""Where measurements come from: one module per kind of source."""
