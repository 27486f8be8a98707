"""What a screen or a command may ask of a server, without knowing what stands behind it.

`server` and `actions` answer it with a live server, a recording with the past, and the tests with a script.
"""
