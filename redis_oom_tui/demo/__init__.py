"""An embedded server, really at its limit."""
