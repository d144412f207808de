"""Ship Capacitor over-the-air updates from a commit to every phone."""

__version__ = "0.1.0"
