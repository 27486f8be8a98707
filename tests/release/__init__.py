"""What is handed out, as it was built: `make test-release`. The suite leaves it out, as it takes a minute to build."""
