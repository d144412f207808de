"""Where telemetry is kept when nothing else is said: the same for the server, for tokens and for who looks at the counts."""

DATABASE_VARIABLE = "OTAGATE_DATABASE"
DEFAULT_DATABASE = ".otagate/telemetry.sqlite"
"""Below the policy's folder; ``.otagate`` is kept out of version control by what ``init`` writes."""
