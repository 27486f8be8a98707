"""A dump file, scanned by way of a server that loads it: the way that docs/performance.md tells."""

import re
import shutil

from redis_oom_tui.models.scan import ScanOptions, ScanState
from redis_oom_tui.server.live import LiveServer
from tests.support.documents import page
from tests.support.servers import started

DOCS = page("performance")
KEYS = 500


async def test_a_dump_that_a_server_beside_it_loads(flavour: str) -> None:
    line = re.search(r"redis-server --port 0 .* --dbfilename (\S+) --save '' --appendonly no", DOCS)
    assert line is not None
    with started(flavour) as sick, started(flavour, f"dbfilename {line.group(1)}", "appendonly no") as beside:
        beside.kill()
        with sick.client() as client:
            client.mset({f"user:{number}": "v" * 100 for number in range(KEYS)})
            client.set("gone", "v", px=1)
            client.save()
        shutil.copy(sick.folder / "dump.rdb", beside.folder / line.group(1))
        beside.start()
        live = LiveServer(beside.connection)
        await live.open()
        view = await live.scan(ScanOptions()).run()
        await live.close()
    assert (view.state, view.scanned_keys) == (ScanState.COMPLETE, KEYS)
    assert [row.pattern for row in view.patterns] == [b"user:*"]
