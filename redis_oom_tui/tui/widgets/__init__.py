"""The pieces that screens are made of: each repaints only the lines that changed."""
