"""A release's journey along its track: the state machine, the reconciler that drives it, the ledger."""
