"""The update server as an ASGI application: routes, bodies, rate limits, downloads, health and metrics."""
