"""What devices tell, kept in SQL: one row per app, device and release, and counters beside it that measurements read."""
