"""The same actions on a whole cluster: each node acts for itself, and a partial success is told node by node."""
