"""Published releases: signed statements in the document store, sealed zips in the blob store."""
