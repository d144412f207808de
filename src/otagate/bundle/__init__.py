"""Built files to a vetted, deterministic zip."""
