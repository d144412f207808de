"""The update server: the plugin's protocol, answered from signed pointers; telemetry; the admin API."""
