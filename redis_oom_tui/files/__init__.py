"""What is kept on the local disk: the audit file, backups, plans, scans, configuration."""
