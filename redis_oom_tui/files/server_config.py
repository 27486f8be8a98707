"""The server's own config file, read where the tool runs on its machine and may read it."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from redis_oom_tui.files.host_memory import is_local, is_server
from redis_oom_tui.files.reading import MIB, read_small
from redis_oom_tui.models.address import Address
from redis_oom_tui.models.errors import BadInput

_LARGEST_BYTES = MIB


def config_file(address: Address, pid: int | None, path: str, root: Path = Path("/")) -> Mapping[str, str] | None:
    """What the file at `path` sets, by lower-case name, a name that stands there several times left out.

    None where it cannot be read from here, or leads on to other files. `pid` is the server's own word in INFO; the path
    is taken as that process sees it, since a container's is not ours.
    """
    if pid is None or not path.startswith("/") or not is_local(address) or not is_server(root, pid):
        return None
    try:
        # The path is the server's own word: what is there may be anything.
        raw, _ = read_small(root / f"proc/{pid}/root" / path[1:], _LARGEST_BYTES)
    except BadInput:
        return None
    return parsed(raw.decode("utf-8", "replace"))


def parsed(text: str) -> Mapping[str, str] | None:
    """The settings of a config file's text; None where it includes other files.

    >>> parsed('maxmemory 100mb\\n# hz 10\\nrequirepass "a b"\\nsave 60 1\\nsave 30 9')
    {'maxmemory': '100mb', 'requirepass': 'a b'}
    """
    found: dict[str, str] = {}
    several: set[str] = set()
    for line in text.splitlines():
        words = _words(line.strip())
        if not words:
            continue
        name = words[0].lower()
        if name == "include":
            return None
        several |= {name} & found.keys()
        found[name] = " ".join(words[1:])
    return {name: value for name, value in found.items() if name not in several}


def _words(line: str) -> list[str]:
    if not line or line.startswith("#"):
        return []
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()
