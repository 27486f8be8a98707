"""Every command once, by the Python that runs this, on a demo server: `PYTHON scripts/smoke.py`.

It is for an installed wheel, and needs the extra `demo` and nothing else: no pytest, no tmux. `make smoke` runs it.
"""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("redis-oom-tui")
SECONDS = 60


def ran(*words: str, status: int = 0, says: str) -> str:
    """Run the command; its output, which must hold `says`. Raises SystemExit where it ended otherwise."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode != status or says not in done.stdout or "Traceback" in done.stderr:
        raise SystemExit(f"{' '.join(words)}: {done.returncode}, not {status} and {says!r}\n{done.stdout}{done.stderr}")
    print(f"ok  {' '.join(words)}")
    return done.stdout


def drawn(*words: str, shows: str) -> None:
    """Open a screen in a terminal of 80x24, wait for what it `shows`, and quit."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
        os.execv(PROGRAM, [str(PROGRAM), *words])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen, end, asked = b"", time.monotonic() + SECONDS, False
    while time.monotonic() < end and select.select([terminal], [], [], end - time.monotonic())[0]:
        got = b""
        with contextlib.suppress(OSError):  # as Linux says that the other end has closed
            got = os.read(terminal, 65536)
        if not got:
            break
        seen += got
        if shows.encode() in seen and not asked:
            asked = bool(os.write(terminal, b"q"))
    os.close(terminal)
    if not asked:
        os.kill(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status != 0:
        raise SystemExit(f"{' '.join(words)}: {status}, and it showed\n{seen.decode(errors='replace')}")
    print(f"ok  {' '.join(words)} (a screen)")


def recorded(server: tuple[str, ...], file: Path) -> None:
    """Record a few polls of the plain screen, and end it as a service manager would."""
    words = ("--record", str(file), "--plain", "--interval", "0.2")
    with subprocess.Popen([PROGRAM, *server, *words], stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or not all(process.stdout.readline() for _ in range(3)):
            raise SystemExit("--plain printed nothing")
        process.terminate()
    print("ok  --record --plain")


def dumped(socket_path: str) -> str:
    """The dump file that the demo's server writes beside its socket when it is told to."""
    from redis_oom_tui.demo.wire import Wire  # noqa: PLC0415 - as in main

    with Wire(Path(socket_path)) as wire:
        wire.call("SAVE")
    return str(Path(socket_path).with_name("dump.rdb"))


def every_command(server: tuple[str, ...], folder: Path) -> None:
    """Each of them; in an order in which one gives the next its file."""
    backup, recording, scan = (folder / name for name in ("backup", "recording", "scan"))
    ran(*server, "check", status=2, says="OOM: Refusing writes")
    json.loads(ran(*server, "check", "--json", status=2, says='"verdict"'))
    ran(*server, "hogs", "--patterns", "--save", str(scan), says="cache:v1:")
    ran(*server, "limits", says="maxmemory")
    ran(*server, "watch", "--once", "--interval", "0.5", status=2, says="oom")
    ran(*server, "cleanup", "--match", "cache:v1:*", says="cache:v1:")
    ran(*server, "cleanup", "--match", "cache:v1:*", "--backup", str(backup), "--yes", says="deleted")
    ran(*server, "limits", "--maxmemory", "1gb", "--yes", says="maxmemory")
    ran(*server, "restore", str(backup), "--yes", says="Restored")
    recorded(server, recording)
    ran(*server, "report", "--no-scan", says="# ")
    ran("report", "--from", str(recording), says="# ")
    drawn("replay", str(recording), shows="Triage")
    drawn(*server, shows="Findings")
    drawn("rdb", dumped(server[1]), shows="Findings")
    ran("demo", "--keys", "1000", "--check", status=2, says="OOM: Refusing writes")
    ran("config", "example", says="[")
    ran("schema", "check", says="$schema")
    for shell in ("bash", "zsh", "fish"):
        ran("completion", shell, says="_REDIS_OOM_TUI_COMPLETE")


def main() -> None:
    """Start the demo's server and run everything. A test of the suite sees that no command is left out."""
    from redis_oom_tui.cli.main import COMMANDS  # noqa: PLC0415 - after its absence was told

    print(f"Python {sys.version.split()[0]}, {ran('--version', says='redis-oom-tui').strip()}")
    for command in COMMANDS:
        ran(command, "--help", says=f"Usage: redis-oom-tui {command}")
    with tempfile.TemporaryDirectory(prefix="rot-") as name:
        os.chdir(name)
        os.environ |= {"HOME": name, "XDG_STATE_HOME": f"{name}/state", "XDG_CONFIG_HOME": f"{name}/config"}
        words = [sys.executable, "-m", "redis_oom_tui.demo", "--keys", "3000"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as demo:
            path = demo.stdout.readline().strip() if demo.stdout else ""
            every_command(("-s", path), Path(name))
            demo.communicate()


if __name__ == "__main__":
    main()
