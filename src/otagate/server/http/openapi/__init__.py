"""The OpenAPI document, a table by matter: what devices ask, what operators ask, what the server tells of itself."""
