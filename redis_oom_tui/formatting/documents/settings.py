"""The documents of `limits` and `config check`."""

from typing import Annotated, TypedDict

from redis_oom_tui.formatting.documents.check import Document, PolicyName, SourceName, UnixSeconds, says


class MachineFields(TypedDict):
    """The memory that the server's machine has."""

    limit_bytes: Annotated[int | None, says("what the machine, or its container, allows")]
    free_bytes: Annotated[int | None, says("what of it is free")]
    words: Annotated[str, says("both in a sentence")]


class PolicyFields(TypedDict):
    """An eviction policy, with what it would do here and now."""

    name: Annotated[str, says("the policy")]
    current: Annotated[bool, says("whether it is the one in force")]
    evicts: Annotated[str, says("what it evicts, in a sentence")]
    evictable_keys_total: Annotated[int | None, says("how many keys it could evict")]
    evictable_bytes: Annotated[int | None, says("what they hold; only with --scan or --saved-scan")]
    equals_noeviction: Annotated[bool, says("whether it can evict nothing here")]
    enough: Annotated[bool | None, says("whether that would bring the memory below the limit")]
    first_to_go: Annotated[
        list[str] | None, says("the patterns that lose keys first; empty where chance decides, null where not known")
    ]
    first_to_go_by: Annotated[str | None, says("by what: the shortest TTLs, the longest idle times, …")]
    first_to_go_unknown: Annotated[str | None, says("why it is not known")]
    warnings: Annotated[list[str], says("what else to know before it is set")]


class SettingFields(TypedDict):
    """A setting that matters when memory is short."""

    name: Annotated[str, says("the setting")]
    value: Annotated[str | None, says("its value")]
    why: Annotated[str | None, says("why the value is not known")]
    about: Annotated[str, says("what it does, in a sentence")]


class StepFields(TypedDict):
    """A step on the way of a write through a full server."""

    question: Annotated[str, says("what the server asks")]
    answer: Annotated[str, says("the answer here")]
    lit: Annotated[bool, says("whether a write gets to this step now")]


class NodeChange(TypedDict):
    """A change on one node."""

    node: Annotated[str, says("the node")]
    took: Annotated[bool, says("whether it took, as read back")]
    unread: Annotated[bool, says("whether it was sent and could not be read back: whether it took is unknown")]
    old: Annotated[str | None, says("the value before")]
    now: Annotated[str | None, says("the value as read back")]
    detail: Annotated[str | None, says("why it did not take")]


class SettingChangeFields(TypedDict):
    """A change of a setting that was tried."""

    name: Annotated[str, says("the setting")]
    old: Annotated[str | None, says("its value before")]
    new: Annotated[str, says("the value that was asked for")]
    consequence: Annotated[str, says("what the change means")]
    warnings: Annotated[list[str], says("what else to know")]
    took: Annotated[bool, says("whether it took, as read back")]
    unread: Annotated[bool, says("whether it was sent and could not be read back: whether it took is unknown")]
    now: Annotated[str | None, says("its value as read back")]
    detail: Annotated[str | None, says("why it did not take")]
    persisted: Annotated[str | None, says("the answer of CONFIG REWRITE, with --persist")]
    nodes: Annotated[list[NodeChange] | None, says("with -c: the same by node")]


class ScanUsed(TypedDict):
    """The scan that bytes and patterns come from."""

    taken_at_unix_seconds: Annotated[UnixSeconds, says("when it was made")]
    age_seconds: Annotated[float, says("how long ago that is")]
    complete: Annotated[bool, says("whether it saw all keys")]
    scanned_keys: Annotated[int, says("how many it saw")]
    total_keys: Annotated[int, says("how many there were")]
    notes: Annotated[list[str], says("why it may not be what this server holds")]


class LimitsDocument(Document):
    """How the server reacts when it is full, and what was changed."""

    node: Annotated[str | None, says("with -c: the node that this is of, the one named, else the worst primary")]
    maxmemory_bytes: Annotated[int | None, says("the limit")]
    limit_source: Annotated[SourceName, says("where the limit comes from")]
    policy: Annotated[PolicyName | None, says("the eviction policy")]
    over_bytes: Annotated[int | None, says("how far the memory is over the limit")]
    room_for_data_bytes: Annotated[
        int | None, says("what keys can have of the limit: less start-up, buffers, backlog, scripts and functions")
    ]
    machine: Annotated[MachineFields, says("the memory of the server's machine")]
    policies: Annotated[list[PolicyFields], says("every policy that this server accepts")]
    settings: Annotated[list[SettingFields], says("the settings that matter when memory is short")]
    path: Annotated[list[StepFields], says("what happens to a write")]
    refused: Annotated[str | None, says("why settings cannot be read or changed here")]
    unreturned: Annotated[
        list[str], says("a sentence for each setting that should have reverted (--revert-after) and did not")
    ]
    changes: Annotated[list[SettingChangeFields], says("what was changed")]
    scan: Annotated[ScanUsed | None, says("the scan that bytes and patterns come from")]


class ConfigDocument(Document):
    """Whether a configuration file is good."""

    path: Annotated[str | None, says("the file; null where there is none and the defaults hold")]
    problems: Annotated[list[str], says("what is wrong with it, each with its line")]
    notes: Annotated[list[str], says("what is no fault, but may not be as it was meant")]
    profiles: Annotated[list[str], says("the names of its profiles")]
