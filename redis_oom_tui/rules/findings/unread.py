"""Findings about what could not be read here, and what is therefore not judged."""

from collections.abc import Iterator

from redis_oom_tui.formatting.sanitize import safe_text
from redis_oom_tui.models.capabilities import Feature
from redis_oom_tui.models.verdict import Finding, Level
from redis_oom_tui.rules.findings.case import Case, finding
from redis_oom_tui.rules.sampling import were_read

# By what is lost: its name in the title, and what goes unsaid without it.
_LOST = {
    Feature.SCAN: ("keys", "which keys hold the memory, and every finding about them"),
    Feature.MEMORY_USAGE: ("sizes of keys", "what each key and family takes"),
    Feature.TYPE: ("types", "what kind of value takes how much, and no cleanup can be checked"),
    Feature.TTL: ("TTLs", "what expires and what stays"),
    Feature.CLIENT_LIST: ("clients", "who holds buffers"),
    Feature.CONFIG_GET: ("settings", "what does not fit this server among them"),
    Feature.OBJECT_IDLETIME: ("idle times", "what has long been unused"),
}


@finding("not-readable", on_demand=True)
def refused_reads(case: Case) -> Iterator[Finding]:
    """What this user may not ask, or this server does not answer."""
    known = case.capabilities
    lost = {feature: words for feature, words in _LOST.items() if not known.has(feature)}
    if not lost:
        return
    names = [name for name, _ in lost.values()]
    listed = " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)
    yield Finding(
        id="not-readable",
        level=Level.WARNING if Feature.SCAN in lost else Level.OK,
        title=f"Not readable here: {listed}",
        advice="What is not listed on this screen may still be wrong. Log in as a user who may run what is named below,"
        " or ask for it where the server is managed: none of it changes anything.",
        evidence=tuple(
            f"{feature.value} is refused ({safe_text(known.why_not(feature) or '', 120)}): nothing is said of {unsaid}"
            for feature, (_, unsaid) in lost.items()
        ),
    )


@finding("values-unread", on_demand=True)
def unread_values(case: Case) -> Iterator[Finding]:
    """Values that could not be looked into without a trace."""
    if were_read(case.values) is not False:
        return
    refused = case.capabilities.why_not(Feature.NO_TOUCH)
    yield Finding(
        id="values-unread",
        level=Level.OK,
        title="Values were not looked into: nothing said of compression or numbers",
        advice="Values are read only behind CLIENT NO-TOUCH (Redis 7.2, 7.4 and 8.4, Valkey): without it, reading would"
        " make idle keys look used, and this tool leaves no trace.",
        evidence=() if refused is None else (f"{Feature.NO_TOUCH.value}: {safe_text(refused, 120)}",),
    )
