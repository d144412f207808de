"""``otagate doctor``: everything that a release needs, looked at before it is needed. Each problem has a stable code."""
