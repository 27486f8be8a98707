"""Runs an application's script against a server; `python -m tests.apps.running [NAME…]` records what each leaves.

A script needs its library: from PyPI (the group `apps`), npm (NODE_PATH names the folder) or Debian's packages.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from tests.apps.samples import Keys, Sample, read, save
from tests.support.ports import free_ports
from tests.support.servers import RunningServer, started

FOLDER = Path(__file__).parent / "writers"


@dataclass(frozen=True)
class Writer:
    """A script in `writers`: the application that it runs, and the package that it needs."""

    name: str
    application: str
    package: str

    @property
    def script(self) -> Path:
        """Its file."""
        return next(FOLDER.glob(f"{self.name}.*"))

    @property
    def version(self) -> str | None:
        """Which version of its package is installed here; None for none."""
        return _VERSIONS[self.script.suffix](self.package)

    def run(self, server: RunningServer, port: int) -> Keys:
        """What the server holds after the script has run against it."""
        with tempfile.TemporaryDirectory(prefix="app-") as folder:  # What fails tells its own path.
            script = shutil.copy(self.script, folder)
            command = [*_COMMANDS[self.script.suffix], str(script), f"redis://127.0.0.1:{port}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr[-3000:]
        with server.client() as client:
            return read(client)


PYTHON = os.environ.get("APPS_PYTHON", sys.executable)
"""The interpreter of the scripts in Python, where their libraries stand in another environment."""

_COMMANDS = {".py": [PYTHON, "-P", "-W", "ignore"], ".js": ["node"], ".rb": ["ruby"], ".php": ["php"]}

WRITERS = {
    name: Writer(name, application, package)
    for name, application, package in (
        ("aiocache", "", "aiocache"),
        ("apscheduler", "APScheduler", "APScheduler"),
        ("arq", "arq", "arq"),
        ("bee_queue", "Bee-Queue", "bee-queue"),
        ("bull", "Bull", "bull"),
        ("bullmq", "BullMQ", "bullmq"),
        ("bullmq_python", "BullMQ", "bullmq"),
        ("celery", "Celery", "celery"),
        ("channels_redis", "Django Channels", "channels_redis"),
        ("connect_redis", "connect-redis", "connect-redis"),
        ("django", "Django", "Django"),
        ("dramatiq", "Dramatiq", "dramatiq"),
        ("express_rate_limit", "express-rate-limit", "rate-limit-redis"),
        ("flask_caching", "Flask-Caching", "Flask-Caching"),
        ("flask_session", "Flask-Session", "Flask-Session"),
        ("huey", "Huey", "huey"),
        ("keyv", "", "@keyv/redis"),
        ("laravel", "Laravel", "php-illuminate-cache"),
        ("limits", "limits", "limits"),
        ("phpredis_session", "PHP sessions", "php-redis"),
        ("rails_cache", "Rails cache", "ruby-activesupport"),
        ("rate_limiter_flexible", "rate-limiter-flexible", "rate-limiter-flexible"),
        ("redis_py_lock", "", "pottery"),
        ("rq", "RQ", "rq"),
        ("sidekiq", "Sidekiq", "ruby-sidekiq"),
        ("socketio_streams", "Socket.IO", "@socket.io/redis-streams-adapter"),
        ("symfony_cache", "Symfony cache", "php-symfony-cache"),
        ("symfony_messenger", "Symfony Messenger", "php-symfony-redis-messenger"),
        ("taskiq", "Taskiq", "taskiq-redis"),
    )
}


@cache
def _python_version(package: str) -> str | None:
    if sys.executable == PYTHON:
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    return _said([PYTHON, "-c", ask])


def _node_version(package: str) -> str | None:
    for folder in os.environ.get("NODE_PATH", "").split(":"):
        about = Path(folder, package, "package.json")
        if folder and about.exists():
            return str(json.loads(about.read_text())["version"])
    return None


def _debian_version(package: str) -> str | None:
    return _said(["dpkg-query", "-W", "-f", "${Version}", package])


def _said(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


_VERSIONS = {".py": _python_version, ".js": _node_version, ".rb": _debian_version, ".php": _debian_version}
_REGISTRIES = {".py": "PyPI", ".js": "npm", ".rb": "Debian", ".php": "Debian"}


def record(writer: Writer) -> str:
    """Run it on a server of its own and keep what it left as the sample of its name."""
    if writer.version is None:
        return f"{writer.name}: {writer.package} is not installed"
    port = free_ports()[0]
    with started("valkey", f"port {port}") as server:
        keys = writer.run(server, port)
    source = f"{writer.package} {writer.version} ({_REGISTRIES[writer.script.suffix]})"
    save(Sample(writer.name, writer.application, "library", source, keys))
    return f"{writer.name}: {len(keys)} keys of {source}"


if __name__ == "__main__":
    for asked in sys.argv[1:] or WRITERS:
        print(record(WRITERS[asked]))
