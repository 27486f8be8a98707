"""How values are said to people and to scripts: text, sizes, durations, JSON."""
