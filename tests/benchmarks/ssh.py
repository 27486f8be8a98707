"""A real sshd on the loopback, as whoever runs this, with keys of its own that are gone afterwards."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_START_SECONDS = 10.0


@contextmanager
def over_ssh(program: Sequence[str]) -> Iterator[list[str] | None]:
    """The command that runs `program` through ssh; None where there is no sshd."""
    if SSHD is None or shutil.which("ssh") is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rot-ssh-") as name:
        folder = Path(name)
        port = _free_port()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        settings = [f"Port={port}", "ListenAddress=127.0.0.1", f"HostKey={folder / 'host'}", "StrictModes=no"]
        settings += [f"AuthorizedKeysFile={folder / 'authorized'}", "UsePAM=no", f"PidFile={folder / 'pid'}"]
        settings += ["PasswordAuthentication=no", "PermitRootLogin=prohibit-password"]
        options = [word for setting in settings for word in ("-o", setting)]
        server = subprocess.Popen([SSHD, "-D", "-f", "/dev/null", *options], stderr=subprocess.DEVNULL)
        try:
            _wait_for(port)
            inner = f"cd {quote(str(Path.cwd()))} && exec {' '.join(map(quote, program))}"
            known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
            login = ["-i", str(folder / "user"), "-p", str(port), f"{getpass.getuser()}@127.0.0.1"]
            yield ["ssh", "-tt", "-F", "/dev/null", *known, *login, inner]
        finally:
            server.terminate()
            server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("sshd does not answer")
