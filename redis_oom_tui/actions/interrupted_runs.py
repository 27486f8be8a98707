"""Going on with a plan whose run was cut off: the keys that it had saved and not yet deleted are known by their copies.

On servers without CLIENT NO-TOUCH saving a key is a use of it, after which its idle time no longer tells whether
anybody else used it. Its copy in the backup does: the key is still the one of the plan if its DUMP is the same.
"""

import hashlib
from pathlib import Path

from redis_oom_tui.files.audit import AuditFile
from redis_oom_tui.files.backup_reading import read_records
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.plan import Plan


def copies(audit: AuditFile, plan: Plan) -> dict[tuple[int, bytes], str]:
    """The SHA-1 of the DUMP of each key of `plan` that an earlier run of it saved, and did not come to delete."""
    found: dict[tuple[int, bytes], str] = {}
    for backup, names in audit.unfinished(plan.hash).items():
        try:
            for record in read_records(Path(backup)):
                name = (-1, b"") if record is None else (record.id.db, record.id.key)
                if record is not None and record.payload is not None and name in names:
                    found[name] = hashlib.sha1(record.payload, usedforsecurity=False).hexdigest()
        except BadInput:
            # The backup was moved or removed: then the keys it held are compared by their idle times after all.
            continue
    return found
