"""Results as text for people, JSON and Markdown."""
