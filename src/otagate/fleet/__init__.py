"""Virtual devices that behave as the plugin does, by its generation; written from the protocol, not from our sealing code."""
