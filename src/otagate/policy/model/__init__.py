"""A policy after parsing: frozen values, every default filled in. Inner code never sees YAML or a dict."""
