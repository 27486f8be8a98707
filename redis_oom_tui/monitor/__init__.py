"""Watching a server when nobody looks: the loop, whom it tells, and the cleanup that was armed for it."""
