"""Once a scan is complete, small samples of its patterns are read, and the findings tell of them."""

from redis_oom_tui.models.errors import ServerUnreachable
from redis_oom_tui.models.keys import PatternSample
from redis_oom_tui.models.scan import PatternRow, ScanOptions, ScanState, ScanView
from tests.support.scripted import MIB, ScriptedScan, ScriptedSource
from tests.support.waiting import stays
from tests.tui.support import an_app, screen_text, until

CARTS = PatternRow(b"cart:*", b"cart:*", 4000, 80 * MIB, 0.3, 0, types=(("string", 4000),))
VIEW = ScanView(ScanState.COMPLETE, scanned_keys=4000, total_keys=4000, bytes_seen=80 * MIB, patterns=(CARTS,))
PACKS = PatternSample(
    b"cart:*", "string", 40, 20_000.0, 9.0, 19_900.0, zlib_ratios=(0.1, 0.2, 0.3), large_share=1.0, json_share=1.0
)


class Sampling(ScriptedSource):
    sampled = 0
    fails = False

    def scan(self, options: ScanOptions) -> ScriptedScan:
        scan = ScriptedScan([VIEW])
        scan.finish()
        return scan

    async def samples(self, scan: ScanView, *, applications_only: bool = False) -> tuple[PatternSample, ...]:
        self.sampled += 1
        if self.fails:
            raise ServerUnreachable("gone")
        return (PACKS,)


async def test_values_are_sampled_once_and_become_findings() -> None:
    source = Sampling()
    app = an_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        app.session.scanner.start(ScanOptions())
        await until(pilot, lambda: "compress to 20% of their size" in screen_text(app))
        assert await stays(lambda: source.sampled == 1, 1.1)


async def test_a_failure_costs_only_those_findings() -> None:
    source = Sampling()
    source.fails = True
    app = an_app(source)
    async with app.run_test(size=(120, 40)) as pilot:
        app.session.scanner.start(ScanOptions())
        await until(pilot, lambda: source.sampled == 1)
        assert await stays(lambda: app.session.scanner.values == () and "stopped" not in screen_text(app))
