"""How long the tool waits for a server, in seconds: every wait in one place."""

CONNECT = 3.0
"""Until a connection stands."""
SILENCE = 3.0
"""Until a server that says nothing counts as silent: each reply has so long to begin, and to go on."""
GIVE_UP = 10.0
"""From the first sign of a lost or silent server until a scan, a cleanup or a restore gives up: all tries together."""
FAILOVER = 30.0
"""The same for a lost primary of a cluster that has a replica left to take over, which waits for its node timeout."""
BUSY = 30.0
"""How long a server may say that it carries out nothing just now (a script, loading) before an action gives up."""
