"""The only package that speaks to a server."""
