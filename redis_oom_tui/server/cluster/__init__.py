"""More than one server: who is the master, which nodes a cluster has, and all of them at once."""
