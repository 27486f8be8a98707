"""The five panes, one class in a module each."""
