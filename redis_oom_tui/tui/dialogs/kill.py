"""Closing the connection of a client that holds too much memory."""

from redis_oom_tui.formatting.sanitize import escape_exact
from redis_oom_tui.formatting.sizes import ago, size, spoken
from redis_oom_tui.models.address import ClientBuffer
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question


def kill_question(client: ClientBuffer, where: str) -> Question:
    """What is known of the client, and what closing it means."""
    name = f'name "{escape_exact(client.name)}"' if client.name else "no name"
    library = f', library "{escape_exact(client.library)}"' if client.library else ""
    user = f', user "{escape_exact(client.user)}"' if client.user else ""
    buffers = f"{size(client.output_bytes)} of replies not yet read, {size(client.query_bytes)} of requests"
    last = (
        f'last command "{escape_exact(client.command)}" {ago(client.idle_seconds)}'
        if client.command
        else "no command yet"
    )
    warnings = ["Its unread replies are lost. Most libraries connect again at once: see to the cause there."]
    if "S" in client.flags:
        warnings.insert(0, "This is a replica: closing it makes it synchronise anew, perhaps in full.")
    return Question(
        title=f"Close client {client.id}?",
        lines=(
            f"On {where}: client {client.id} at {client.address}, {name}{library}{user}.",
            f"It holds {size(client.total_bytes)}: {buffers}.",
            f"Connected for {spoken(client.age_seconds)}; {last}.",
            "It is closed by its id, and only if that id is still the same address.",
        ),
        warnings=tuple(warnings),
        act="Close it",
    )


class KillDialog(ConfirmDialog):
    """Asks before a client is closed; the client is the one that was shown, by id and address."""

    def __init__(self, client: ClientBuffer, where: str) -> None:
        super().__init__(kill_question(client, where))
        self.client = client
