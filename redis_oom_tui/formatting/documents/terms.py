"""Terms that the JSON documents share: their number, levels, times, shares, kinds of sizes."""

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

from redis_oom_tui.formatting import SCHEMA
from redis_oom_tui.models.keys import SizeKind
from redis_oom_tui.models.snapshot import LimitSource
from redis_oom_tui.models.verdict import Level

LevelName = Annotated[str, Meta(extra_json_schema={"enum": [level.value for level in Level]})]
SourceName = Annotated[str, Meta(extra_json_schema={"enum": [source.value for source in LimitSource]})]
SizeKindName = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in SizeKind]})]
# Servers may know policies that this tool does not.
PolicyName = Annotated[str, Meta(examples=["noeviction", "allkeys-lru", "volatile-ttl"])]
UnixSeconds = float
Share = float


def says(meaning: str) -> Meta:
    """What a field means, for its schema and docs/json.md."""
    return Meta(description=meaning)


class Document(TypedDict):
    """What every document has."""

    schema: Annotated[
        int,
        says("the number of the schema: it rises where a field changes its meaning or is removed"),
        Meta(extra_json_schema={"const": SCHEMA}),
    ]


class FailureDocument(Document):
    """What stands instead of a document where a command ends before it."""

    verdict: Annotated[str, says("there is none"), Meta(extra_json_schema={"const": Level.UNKNOWN.value})]
    reason: Annotated[str, says("why there is no document, in a sentence")]
    error: Annotated[str, says("the same")]


class Failed(Document):
    """A document that may stand for a failure too."""

    verdict: NotRequired[Annotated[LevelName, says("`unknown`, only where the command failed")]]
    reason: NotRequired[Annotated[str, says("why, only where the command failed")]]
