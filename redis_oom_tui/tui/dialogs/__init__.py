"""Questions that must be answered before anything changes on the server."""
