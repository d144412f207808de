"""The operators' side of the update server: single devices' channels, and counts for gates. Every call needs a token."""
