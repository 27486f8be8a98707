"""The loop that looks when nobody else does: thresholds, events and hooks."""
