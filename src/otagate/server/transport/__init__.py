"""Running the update server: sockets, limits in front of every handler, workers, TLS, logs.

::

    supervisor ─► worker ─ listener ─► protocol (limits) ─► App
                    └ sweep (deadlines), drain, ready, TLS reload

``serve(RunOptions(...), make_app)`` of :mod:`otagate.server.transport.runner` is all that a caller needs.
"""
