"""The demo: a small app, the real update server, virtual phones over HTTP; a good release, then a bad one."""
