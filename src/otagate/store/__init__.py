"""Immutable blobs and small documents under compare-and-swap, on whatever a URL names."""
