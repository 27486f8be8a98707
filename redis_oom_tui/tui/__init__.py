"""The only package that draws screens."""
