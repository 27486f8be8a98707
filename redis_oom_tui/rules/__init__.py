"""What the values mean: pure decisions, without a clock, a server or a screen."""
