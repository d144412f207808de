"""The policy file: YAML to errors with places, or to a Policy."""
