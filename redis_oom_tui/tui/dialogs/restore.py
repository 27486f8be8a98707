"""Undo: putting the keys of a backup back."""

from redis_oom_tui.models.action import Backup, BackupInspection
from redis_oom_tui.models.plan import Operation
from redis_oom_tui.models.snapshot import Snapshot
from redis_oom_tui.rules.restoring import backup_contents, restore_outlook, restore_warnings
from redis_oom_tui.tui.dialogs.confirm import ConfirmDialog, Question


class RestoreDialog(ConfirmDialog):
    """Asks before a backup is restored; `backup` is None where it is not in the usual place.

    A damaged one is restored as far as it can be read, and the button says so.
    """

    def __init__(
        self,
        path: str,
        where: str,
        backup: Backup | None,
        snapshot: Snapshot | None,
        inspection: BackupInspection | None = None,
    ) -> None:
        expiries = backup is not None and backup.deed == Operation.EXPIRE.value
        lines = [f"On {where}: {'expiries' if expiries else 'keys'} of {path} are put back."]
        warnings = [inspection.note] if inspection is not None and inspection.note else []
        damaged = inspection is not None and inspection.damaged
        if backup is not None:
            lines += [f"It is of {backup.server} ({backup.flavour} {backup.version}).", backup_contents(backup)]
            if backup.server not in where:
                warnings.append(f"It was made of another address: {backup.server}.")
        lines.append(
            "A key whose expiry was changed since is left alone."
            if expiries
            else "A key that exists now is never overwritten; one whose time is over stays away."
        )
        if snapshot is not None:
            too_full = restore_warnings(backup, snapshot)
            warnings += too_full
            lines += () if too_full else restore_outlook(backup, snapshot)
        act = "Restore what can be read" if damaged else "Put back"
        question = Question("Put the backup back?", tuple(lines), act, tuple(warnings), danger=damaged)
        super().__init__(question)
