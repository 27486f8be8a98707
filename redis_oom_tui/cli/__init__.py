"""The commands: thin, on the same store and rules as the screens."""
