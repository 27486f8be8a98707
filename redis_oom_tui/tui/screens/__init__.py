"""Screens that cover the panes for a moment: help, and the details of a key."""
