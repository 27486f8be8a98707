"""Scripts of applications are run by their own interpreter and never imported."""

collect_ignore = ["writers"]
