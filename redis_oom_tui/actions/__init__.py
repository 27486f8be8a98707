"""The circle that every change goes round: preview, confirm, act, verify, record."""
