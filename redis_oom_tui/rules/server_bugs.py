"""Bugs of particular server versions that the tool must not run into."""

import re

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# A connection with NO-TOUCH that looks up a key while no command is being executed reads through a null pointer: a
# cluster node does so for each command on a slot that is being moved. First and first fixed versions:
# redis/redis#13512 and #14415, valkey-io/valkey#1499 and #2347.
_NO_TOUCH_CRASHES = {
    "redis": ((8, 0, 0), (8, 4, 0), "redis/redis#14415"),
    "valkey": ((8, 1, 0), (8, 1, 4), "valkey-io/valkey#2347"),
}


def no_touch_crash(server: str, version: str) -> str | None:
    """Why CLIENT NO-TOUCH must not be sent to this server, by the name and version that HELLO gives; None if it may.

    >>> no_touch_crash("redis", "8.2.3")
    'Redis 8.2.3 can crash on it (redis/redis#14415)'
    >>> no_touch_crash("redis", "8.4.0"), no_touch_crash("redis", "7.4.1"), no_touch_crash("valkey", "9.1.2")
    (None, None, None)
    >>> no_touch_crash("valkey", "8.1.3")
    'Valkey 8.1.3 can crash on it (valkey-io/valkey#2347)'
    >>> no_touch_crash("redis", "?")
    'the server does not tell its version, and some versions can crash on it'
    """
    found = _VERSION.match(version)
    if found is None:
        return "the server does not tell its version, and some versions can crash on it"
    bug = _NO_TOUCH_CRASHES.get(server)
    if bug is None:
        return None
    first, fixed, where = bug
    now = tuple(map(int, found.groups()))
    return f"{server.capitalize()} {found[0]} can crash on it ({where})" if first <= now < fixed else None
