"""How values are said to people and to scripts: text, sizes, durations, JSON."""

SCHEMA = 1
"""The number in every JSON document: it rises where a field changes its meaning or is removed."""
