"""What the tool can do to a server, what it says before, and what came of it."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct, field

from redis_oom_tui.models.plan import Plan
from redis_oom_tui.models.settings import ChangeResult, Setting
from redis_oom_tui.models.snapshot import LimitSource

MIB = 1024 * 1024
TARGET = 0.80
"""The share of maxmemory that cleanups aim for unless another is said."""


class Action(StrEnum):
    """Everything that changes a server, for asking whether it may be used now and for the audit file."""

    DELETE = "delete"
    EXPIRE = "expire"
    SHRINK = "shrink"
    FINISH = "finish"
    RESTORE = "restore"
    SET = "set"
    REWRITE = "rewrite"
    KILL_CLIENT = "kill-client"
    PURGE = "purge"
    REAP = "reap"
    EMERGENCY = "emergency"


LARGEST_COPY = 4094 * MIB
"""The largest copy of a key that a backup can hold, in bytes: its frames have lengths of 32 bits."""


class BackupChoice(Struct, frozen=True):
    """Whether, where and how much of what is deleted is written down first.

    `path` None means a new file under the state directory. A key of which the plan tells that it cannot be copied (over
    `max_key_bytes`, too large for `room_bytes`, of unknown size) is deleted without a copy, or kept where
    `keep_unsaved` says so; one of which that turns out later is kept. A run stops, the rest untouched, when the file
    has grown to `max_total_bytes`. `room_bytes` are free below maxmemory, None where nothing bounds a reply; that is
    so at OOM until `over_bytes` have gone.
    """

    wanted: bool = True
    path: Path | None = None
    max_key_bytes: int = 16 * MIB
    max_total_bytes: int = 512 * MIB
    keep_unsaved: bool = False
    room_bytes: int | None = None
    over_bytes: int = 0


class PlanningState(StrEnum):
    """Where the making of a plan is; each but RUNNING is final."""

    RUNNING = "running"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


class PlanningView(Struct, frozen=True):
    """A plan in the making: keys scanned, keys that match and their bytes so far, and how many there are to scan.

    `phase` says what it is doing, and how hard it leans on the server; `throttled`, that it holds back. `plan` is
    there once it is complete or stopped; `error` is one sentence where it failed.
    """

    state: PlanningState = PlanningState.RUNNING
    scanned_keys: int = 0
    total_keys: int = 0
    matched_keys: int = 0
    matched_bytes: int = 0
    elapsed_seconds: float = 0.0
    phase: str = ""
    throttled: bool = False
    plan: Plan | None = None
    error: str | None = None


class PolicyView(Struct, frozen=True):
    """One eviction policy, and what it would mean on this server now.

    `evicts` is one plain sentence about who goes first. `evictable_keys` is counted (INFO keyspace);
    `evictable_bytes` and `share` (of the bytes that keys hold) come from the last scan and are None without one.
    `first_to_go` names patterns that would lose keys first, each a likelihood: eviction looks at a few keys at a time.
    `first_by` says what decides; `first_unknown` why it is not known, where it is not.
    `flagged`: it evicts nothing or too little here, or a quarter and more of the keys that go first are of patterns
    whose loss breaks things.
    """

    name: str
    evicts: str
    current: bool = False
    evictable_keys: int | None = None
    evictable_bytes: int | None = None
    share: float | None = None
    equals_noeviction: bool = False
    enough: bool | None = None
    flagged: bool = False
    first_to_go: tuple[bytes, ...] = ()
    first_by: str = ""
    first_unknown: str | None = None
    warnings: tuple[str, ...] = ()


class WriteStep(Struct, frozen=True):
    """One question on the way of a write through a full server, its answer with this server's numbers.

    `lit` says that the write comes past here now; `end` that it ends here, `refused` that it is refused.
    """

    question: str
    answer: str
    lit: bool = True
    end: bool = False
    refused: bool = False


class SettingView(Struct, frozen=True):
    """A setting with one plain sentence about it; `choices` where it takes one of a few values, else empty."""

    setting: Setting
    sentence: str
    choices: tuple[str, ...] = ()


class HostMemory(Struct, frozen=True):
    """What the machine under the server has: bytes, None where not known. `words` says in a sentence what is known.

    `limit_bytes` is the smaller of the host's memory and, where server and tool share a machine, the cgroup's limit.
    """

    limit_bytes: int | None = None
    free_bytes: int | None = None
    words: str = ""


class Limits(Struct, frozen=True):
    """How the server reacts when full: its policies with a what-if each, its settings, and the way a write takes.

    `over_bytes` is how much would have to go for writes to be accepted (0 when they are); None without a limit.
    `refused` is why settings cannot be changed here, and what to do instead; None where they can. `unsized` is why the
    policies cannot all be told in bytes. `unreturned` are sentences, a setting each, on what was to go back by itself
    and did not, as the tool was killed. `node` is the node of a cluster that all of this was read from, '' without a
    cluster. `data_room_bytes` is what keys can have of the limit, beside start-up, buffers, backlog and scripts.
    """

    maxmemory_bytes: int | None
    policy: str
    policies: tuple[PolicyView, ...] = ()
    settings: tuple[SettingView, ...] = ()
    path: tuple[WriteStep, ...] = ()
    host_memory: HostMemory = field(default_factory=HostMemory)
    over_bytes: int | None = None
    scanned: bool = False
    refused: str | None = None
    unsized: str | None = None
    unreturned: tuple[str, ...] = ()
    node: str = ""
    limit_source: LimitSource = LimitSource.SERVER
    data_room_bytes: int | None = None

    def value(self, name: str) -> str | None:
        """What a setting was read to be; None where that is not known."""
        if name == "maxmemory-policy":
            return None if self.policy == "unknown" else self.policy
        return next((view.setting.value for view in self.settings if view.setting.name == name), None)


class Done(Struct, frozen=True):
    """What a single action came to, in one sentence; figures by name, for --json and the audit file."""

    action: Action
    ok: bool
    sentence: str
    figures: Mapping[str, int | None] = field(default_factory=lambda: MappingProxyType({}))


class RestoreOutcome(StrEnum):
    """What became of one key of a backup. ALIKE is an element of a list that others like it stand in the place of: it
    may be one of them, or missing.
    """

    RESTORED = "restored"
    EXISTS = "exists"
    ALIKE = "alike"
    EXPIRED = "expired"
    CHANGED = "changed"
    FAILED = "failed"
    NOT_ATTEMPTED = "not attempted"


class RestoreReport(Struct, frozen=True):
    """A backup while it is put back, or after. `ended` is None while it runs, else one sentence.

    `left_out` names (exactly) keys that were deleted without a copy, at most a thousand of them; `left_out_keys` counts
    all. `file_note` says what is wrong with the file, '' where nothing is. `things` is what is counted. `unsure` is
    whether a server was lost or restarted after it had restored something, which may be gone.
    """

    path: str
    total_keys: int
    counts: Mapping[RestoreOutcome, int] = field(default_factory=lambda: MappingProxyType({}))
    left_out_keys: int = 0
    left_out: tuple[str, ...] = ()
    elapsed_seconds: float = 0.0
    ended: str | None = None
    failed: bool = False
    resumable: bool = False
    file_note: str = ""
    file_damaged: bool = False
    things: str = "keys"
    unsure: bool = False

    @property
    def done_keys(self) -> int:
        """Keys whose reply was read."""
        return sum(n for outcome, n in self.counts.items() if outcome is not RestoreOutcome.NOT_ATTEMPTED)

    @property
    def complete(self) -> bool:
        """Whether it ended without a fault, with no key of the file failed, left, or maybe missing."""
        left = any(map(self.counts.get, (RestoreOutcome.FAILED, RestoreOutcome.NOT_ATTEMPTED, RestoreOutcome.ALIKE)))
        return not (self.failed or left or self.file_damaged)


class Backup(Struct, frozen=True):
    """A backup file, as its first line and its end tell: what it holds and whether `restore` can use it.

    Where the operation is to shrink a key, its elements are counted in place of keys.

    `size` is that of the file; `held_bytes` what the keys took in the server, None where nobody told. One that is not
    `whole` was cut off: `keys` is then how many it was to hold. `left_out_keys` were deleted without a copy. With
    `server_clock` the times in it are the server's, else those of the computer that made it; `clock_skew_seconds` is by
    how much the server's clock was ahead of that computer's, None where that is not known, and `node_skew_seconds` the
    same of each node of a cluster.
    `restored_bytes` is what the keys take once they are restored, `expiring_keys` how many expire; None in files
    that do not tell. `elements` is how many elements a key had that was to be shrunk, None where nobody told.
    `run_id` is that of the server, of a cluster that of one node; None where it is not known. `identity` is that of the
    file as it was read, as `files.disk.identity` has it.
    """

    path: str
    made_at: float
    server: str
    flavour: str
    version: str
    keys: int
    size: int
    operation: str = "delete"
    held_bytes: int | None = None
    left_out_keys: int = 0
    whole: bool = True
    server_clock: bool = False
    clock_skew_seconds: float | None = None
    node_skew_seconds: Mapping[str, float | None] = field(default_factory=lambda: MappingProxyType({}))
    restored_bytes: int | None = None
    expiring_keys: int | None = None
    elements: int | None = None
    run_id: str | None = None
    identity: tuple[int, ...] = ()


class BackupInspection(Struct, frozen=True):
    """What is in a backup file, all of it read. `backup` is what the file says of itself.

    `expected` is how many keys its end counts, None where it has no end. A `damaged` file is not what was
    written; `note` says what is wrong with it, also where it only has no end, and is '' where nothing is.
    """

    backup: Backup
    keys: int
    left_out: int = 0
    expected: int | None = None
    damaged: bool = False
    note: str = ""

    @property
    def has_no_key(self) -> bool:
        """Whether there is nothing in it to restore: it was cut off before its first key."""
        return not (self.keys or self.left_out)


class AuditEntry(Struct, frozen=True):
    """One action in the audit file: what was meant, and, once its end was written, what came of it.

    `at` is Unix seconds; `ended` is None for an action whose end was never written (the tool was killed, or it runs
    now). `undo` is the backup file or the old value that would take it back, '' where nothing does. `returns_at` is
    when a setting was to go back by itself, None where it was to stay; `plan` the hash of the plan that was run;
    `run_id` that of the server, '' where it was not written down.
    """

    at: float
    id: str
    action: str
    server: str
    who: str
    what: str
    ended: float | None = None
    result: str = ""
    ok: bool | None = None
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    undo: str = ""
    change: ChangeResult | None = None
    returns_at: float | None = None
    plan: str = ""
    run_id: str = ""


class Budget(Struct, frozen=True):
    """What a plan would do for the memory: bytes, None where no limit is set.

    `needed_bytes` is what has to go to reach `target` (a share of maxmemory); `plan_bytes` what the plan would free by
    its own figures, `low_bytes` and `high_bytes` its range; `pressure_after` the share of maxmemory then in use.
    `enough` is None without a limit. `words` is the whole in one sentence. `held_bytes` is what the keys hold, whatever
    is done to them. All but `needed_bytes` and the pressure now are None where the sizes of the keys are not known.
    """

    target: float
    needed_bytes: int | None
    plan_bytes: int | None
    low_bytes: int | None
    high_bytes: int | None
    pressure_now: float | None = None
    pressure_after: float | None = None
    enough: bool | None = None
    words: str = ""
    held_bytes: int | None = None
