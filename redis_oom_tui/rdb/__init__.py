"""A dump file (RDB) in place of a server: loaded into a private server of ours that is gone when we are gone."""
