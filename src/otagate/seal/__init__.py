"""Encryption and signatures: what devices and otagate itself check."""
