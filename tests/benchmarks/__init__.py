"""Speed, measured side by side in one run: figures drift with the machine, ratios much less."""
