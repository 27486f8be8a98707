"""Everything that changes a server: keys checked again and deleted, expiry, settings, backups, clients."""
