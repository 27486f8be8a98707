"""Where the bundle begins: the command itself, or one of the demo's processes, which it starts as `-m MODULE`."""

import os
import runpy
import sys
from pathlib import Path

from redis_oom_tui.__main__ import main

_CHILDREN = ("redis_oom_tui.demo.", "redis_oom_tui.rdb.")
_LIBRARIES = "LD_LIBRARY_PATH"
# The bundled OpenSSL looks where the builder's system keeps them; other systems keep them elsewhere.
_AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def _settle_environment() -> None:
    """The bundle's own libraries have been found by now: a hook's program must not find them, too."""
    before = os.environ.pop(f"{_LIBRARIES}_ORIG", None)
    if before is None:
        os.environ.pop(_LIBRARIES, None)
    else:
        os.environ[_LIBRARIES] = before
    if not os.environ.keys() & {"SSL_CERT_FILE", "SSL_CERT_DIR"}:
        found = next((path for path in _AUTHORITIES if Path(path).exists()), None)
        if found is not None:
            os.environ["SSL_CERT_FILE"] = found


_settle_environment()
if sys.argv[1:2] == ["-m"] and sys.argv[2:] and sys.argv[2].startswith(_CHILDREN):
    del sys.argv[0:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    main()
