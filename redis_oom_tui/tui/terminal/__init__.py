"""The terminal underneath: what it can do, what is sent to it, and how it is given back."""
