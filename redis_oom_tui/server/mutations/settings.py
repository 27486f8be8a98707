"""Settings: read, set one at a time, read back, and written to the server's own file."""

from collections.abc import Sequence

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import CommandMissing, PermissionRefused, ServerUnreachable, TriageError
from redis_oom_tui.models.settings import Setting
from redis_oom_tui.server.live import LiveServer
from redis_oom_tui.server.mutations.connections import ExclusiveConnection
from redis_oom_tui.server.mutations.replies import pairs
from redis_oom_tui.server.replies import info_in

# What INFO memory tells as well, for servers that refuse CONFIG GET.
_IN_INFO = {"maxmemory": "maxmemory", "maxmemory-policy": "maxmemory_policy"}


async def read_settings(server: LiveServer, names: Sequence[str]) -> tuple[Setting, ...]:
    """The settings of `names` that this server has; one that may not be read has no value and says why."""
    async with ExclusiveConnection(server) as channel:
        replies = [pairs(reply) for reply in await channel.call([("CONFIG", "GET", name) for name in names])]
        known = all(not isinstance(reply, TriageError) and reply for reply in replies)
        info = {} if known else await _from_info(channel)
    found = []
    for name, reply in zip(names, replies, strict=True):
        if isinstance(reply, TriageError):
            found.append(Setting(name, info[name]) if name in info else Setting(name, None, str(reply)))
        elif reply:
            found.append(Setting(name, safe_text(next(iter(reply.values())), 200)))
        elif name in info:
            found.append(Setting(name, info[name]))
    return tuple(found)


async def _from_info(channel: ExclusiveConnection) -> dict[str, str]:
    raw = (await channel.call([("INFO", "memory")]))[0]
    if not isinstance(raw, bytes):
        return {}
    fields = info_in(raw)
    return {name: str(fields[field]) for name, field in _IN_INFO.items() if field in fields}


async def process(server: LiveServer) -> tuple[int | None, str | None]:
    """The server's own process id on its machine and the path of its config file, as INFO tells them.

    The path is '' where it runs without one. Each is None where it is not told.
    """
    async with ExclusiveConnection(server) as channel:
        raw = (await channel.call([("INFO", "server")]))[0]
    if not isinstance(raw, bytes):
        return None, None
    lines = dict(line.split(":", 1) for line in raw.decode("utf-8", "replace").splitlines() if ":" in line)
    pid = lines.get("process_id", "").strip()
    return int(pid) if (pid.isascii() and pid.isdigit()) else None, lines.get("config_file")


async def set_one(server: LiveServer, name: str, value: str) -> None:
    """CONFIG SET `name`. Raises one of `models.errors` with the server's own words where it refused."""
    async with ExclusiveConnection(server, changing=True) as channel:
        await channel.one("CONFIG", "SET", name, value)


async def rewrite(server: LiveServer) -> str:
    """CONFIG REWRITE, and the server's answer, be it OK or a refusal, as it stands."""
    async with ExclusiveConnection(server, changing=True) as channel:
        answer = (await channel.call([("CONFIG", "REWRITE")]))[0]
    if isinstance(answer, (CommandMissing, PermissionRefused)):
        return answer.text
    if isinstance(answer, TriageError):
        return getattr(answer, "text", "") or str(answer)
    return safe_text(answer if isinstance(answer, bytes) else str(answer), 300)


async def purge(server: LiveServer) -> None:
    """MEMORY PURGE. Raises one of `models.errors`."""
    async with ExclusiveConnection(server, changing=True) as channel:
        await channel.one("MEMORY", "PURGE")


async def kill_client(server: LiveServer, client_id: int) -> bool | None:
    """CLIENT KILL ID; whether there was such a client, None where the reply was lost. Raises one of `models.errors`."""
    async with ExclusiveConnection(server, changing=True) as channel:
        await channel.open()
        try:
            return bool(await channel.one("CLIENT", "KILL", "ID", client_id))
        except ServerUnreachable:
            return None
