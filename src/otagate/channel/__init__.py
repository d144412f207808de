"""The distribution port: reading and moving channels."""
