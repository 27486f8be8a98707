"""The command palette: all that has a key where the hands are now, read from the live bindings, and the themes."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from textual.app import App, SystemCommand
from textual.binding import ActiveBinding, Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen
from textual.widget import Widget

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.tui.widgets.keybar import key_name

# Moving about is for the fingers, not for a list of things to do.
_MOVES = ("move", "page", "scroll", "first", "last", "up", "down", "cursor", "home", "end", "step")
_UNMARKED = {"[": "left bracket", "]": "right bracket"}
_TEXTUALS = ("app.", "screen.")


def is_ours(active: ActiveBinding) -> bool:
    """Whether this product declares the binding: Textual's own (focus, copying, the palette itself) are left out."""
    binding = active.binding
    own = not (isinstance(active.node, Screen) and binding.action.startswith(_TEXTUALS))
    return bool(binding.description) and not binding.system and own and binding.action != "command_palette"


def is_move(active: ActiveBinding) -> bool:
    """Whether it only moves the cursor or the view."""
    return active.binding.action.split("(")[0] in _MOVES


def live(bindings: Iterable[ActiveBinding]) -> list[tuple[ActiveBinding, list[str]]]:
    """Our bindings, those of one action together, each with its keys."""
    found: dict[tuple[int, str], list[ActiveBinding]] = {}
    for active in bindings:
        if is_ours(active):
            found.setdefault((id(active.node), active.binding.action), []).append(active)
    # Where Textual binds the same action as well, our words for it are the better ones.
    return [
        (
            next((one for one in same if one.binding.id), same[0]),
            [one.binding.key_display or key_name(one.binding.key) for one in same],
        )
        for same in found.values()
    ]


def words(active: ActiveBinding) -> str:
    """What it does, as a sentence begins."""
    text = active.tooltip or active.binding.tooltip or active.binding.description
    return text[:1].upper() + text[1:]


def title(active: ActiveBinding) -> str:
    """What it is called in the palette."""
    text = active.binding.description
    return text[:1].upper() + text[1:]


def binding_ids(app_class: type[App[int]]) -> frozenset[str]:
    """The ids by which keys are bound: those of the app, and of the screens and widgets that are loaded."""
    return frozenset(
        binding.id
        for kind in (app_class, *_all_below(Widget))
        for binding in getattr(kind, "BINDINGS", ())
        if isinstance(binding, Binding) and binding.id is not None
    )


def _all_below(kind: type) -> list[type]:
    below: list[type] = kind.__subclasses__()
    return [*below, *(further for one in below for further in _all_below(one))]


def check_keymap(keymap: Mapping[str, str], app_class: type[App[int]]) -> None:
    """Raise BadInput where `keymap` names what nothing here is called."""
    known = binding_ids(app_class)
    for name in keymap:
        if name not in known:
            raise BadInput(
                f"[keys] names {safe_text(name, 40)!r}, and nothing is called that; it may be one of: "
                f"{', '.join(sorted(known))}"
            )


# What people search for that stands neither in a title nor in a description, by a word of the title.
_WORDS = {
    "clean": "delete unlink expire evict",
    "maxmemory-policy": "evict eviction lru lfu",
    "free": "delete evict oom cleanup",
    "emergency": "oom delete evict",
    "restore": "undo backup",
    "undo": "revert back restore rollback",
    "scan": "keys biggest bigkeys memkeys size",
    "kill": "client buffer disconnect close",
    "purge": "memory fragmentation allocator",
    "remove": "expired ttl delete",
}


class CommandSearch(Provider):
    """Finds commands by title, description, setting and key word."""

    async def discover(self) -> Hits:
        """All that can be done here, before anything is typed."""
        for command in sorted(self.app.get_system_commands(self.screen), key=lambda command: command.title):
            if command.discover:
                yield DiscoveryHit(command.title, command.callback, help=command.help)

    async def search(self, query: str) -> Hits:
        """The words as typed first: what people call it, its title, its description; then titles by their letters."""
        matcher, wanted = self.matcher(query), query.casefold().split()
        for command in self.app.get_system_commands(self.screen):
            score = by_words(command.title, command.help, wanted) or 0.01 * min(1.0, matcher.match(command.title))
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.callback, help=command.help)


def by_words(title: str, description: str, wanted: Sequence[str]) -> float:
    """How well a command is named by the words that somebody typed, all of which must be there; 0 is not at all.

    >>> by_words("Change maxmemory-policy", "", ["evict"]) > by_words("Change lazyfree-lazy-eviction", "", ["evict"])
    True
    >>> by_words("Free memory", "", ["delete"]) > by_words("Restore a backup", "Restore deleted keys", ["delete"])
    True
    """
    title = title.casefold()
    names = " ".join(_WORDS.get(word, "") for word in title.split()).split()
    if not wanted or not all(word in f"{title} {description.casefold()} {' '.join(names)}" for word in wanted):
        return 0.0
    if wanted[0] in names:
        return 3.0 + 1 / (1 + names.index(wanted[0]))
    # Of two titles with the words, the one that says less else.
    return 2.0 + len(" ".join(wanted)) / len(title) if all(word in title for word in wanted) else 1.0


def commands(app: App[int], screen: Screen[object]) -> Iterable[SystemCommand]:
    """Everything that can be done from `screen`, with its keys."""
    shown: Sequence[tuple[ActiveBinding, list[str]]] = live(screen.active_bindings.values())
    for active, keys in shown:
        if active.enabled and not is_move(active):
            act = partial(app.run_action, active.binding.action, active.node)
            more = "" if words(active) == title(active) else f"{words(active)}  "
            # The palette parses its lines as markup, in which a bracket is no bracket.
            names = " ".join(_UNMARKED.get(key, key) for key in keys)
            yield SystemCommand(title(active), f"{more}key {names}", act)
