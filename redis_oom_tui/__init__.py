"""Triage for Redis and Valkey at their memory limit."""

__version__ = "0.1.0"
