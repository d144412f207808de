"""Policy, context and current state to an ordered list of steps; what every --dry-run prints."""
