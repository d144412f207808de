"""Rehearsing a policy: the real machine, store, server and telemetry, virtual devices, a virtual clock, and faults."""
