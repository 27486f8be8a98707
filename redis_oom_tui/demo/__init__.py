"""An embedded server with believable data, really at its limit."""
