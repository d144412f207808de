"""Telling people what happened: a message made of a ledger entry, and the places that it can be sent to."""
