"""redis-cli's options and environment, read into one `Connection`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from redis_oom_tui.formatting.sizes import parse_size, plain_number
from redis_oom_tui.models.address import Address, Connection, Secret, Sentinel, Tls
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.models.structs import replace

_FORMS = "redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss://... for TLS, or unix://PATH[?db=N]"


class ConnectionOptions(Struct, frozen=True):
    """The options as they were given; None where one was not."""

    host: str | None = None
    port: int | None = None
    socket: str | None = None
    url: str | None = None
    password: Secret | None = None
    user: str | None = None
    db: int | None = None
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure: bool = False
    cluster: bool = False
    sentinels: tuple[str, ...] = ()
    master: str | None = None
    sentinel_user: str | None = None
    sentinel_password: Secret | None = None
    sentinel_tls: bool | None = None
    sentinel_ca_file: Path | None = None
    sentinel_cert_file: Path | None = None
    sentinel_key_file: Path | None = None
    sentinel_server_name: str | None = None
    sentinel_insecure: bool = False
    limit: str | None = None
    read_only: bool = False


def names_a_server(options: ConnectionOptions) -> bool:
    """Whether the options or REDIS_URL say where to connect."""
    given = (options.host, options.port, options.socket, options.url)
    return any(part is not None for part in given) or bool(options.sentinels) or bool(os.environ.get("REDIS_URL"))


def resolve(
    options: ConnectionOptions, environment: Mapping[str, str] = os.environ, base: Connection | None = None
) -> Connection:
    """The connection that the options mean: over REDIS_URL and REDISCLI_AUTH, over a profile (`base`).

    Raises BadInput with one sentence where they contradict each other or cannot be read.
    """
    _check(options)
    connection = base or Connection()
    addressed = options.host is not None or options.socket is not None
    url = options.url if options.url is not None else None if addressed or base else environment.get("REDIS_URL")
    if url:
        connection = from_url(url, connection)
    connection = _with_address(options, connection)
    if options.user is not None:
        connection = replace(connection, username=options.user)
    if options.password is not None:
        connection = replace(connection, password=options.password)
    elif connection.password is None and environment.get("REDISCLI_AUTH"):
        connection = replace(connection, password=Secret(environment["REDISCLI_AUTH"]))
    if options.db is not None:
        connection = replace(connection, db=options.db)
    tls = _tls(options, connection.tls)
    if connection.address.socket_path and not options.sentinels and (unused := _tls_option(options)):
        raise BadInput(f"{unused} has no effect on a unix socket, which has no TLS: leave it out")
    sentinel = _sentinel(options, environment, connection.sentinel, tls)
    if sentinel is not None:
        _refuse_address(options)
        connection = replace(connection, address=Address.of_master(sentinel.master))
    return replace(
        connection,
        tls=tls,
        cluster=options.cluster or connection.cluster,
        sentinel=sentinel,
        read_only=options.read_only or connection.read_only,
        stated_limit_bytes=connection.stated_limit_bytes if options.limit is None else _stated(options.limit),
    )


def _stated(text: str) -> int:
    limit = parse_size(text)
    if not limit:
        raise BadInput("--limit 0 states no limit: give a size, e.g. 4gb, or leave it out")
    return limit


# What a socket's address holds, on the system where it holds least (macOS).
_LONGEST_SOCKET_PATH = 103


def whole_socket_path(path: str) -> str:
    """`path` from the root on, for it is printed in commands that are pasted elsewhere; as it is where no socket can be
    reached by so long a path, or the folder is gone.
    """
    try:
        whole = str(Path(path).absolute())
    except OSError:
        return path
    return whole if len(os.fsencode(whole)) <= _LONGEST_SOCKET_PATH else path


def from_url(url: str, base: Connection | None = None) -> Connection:
    """The connection that a URL names; its errors never repeat the URL, which may hold a password.

    As redis-cli does, it takes a single word before the @ for a password.

    >>> connection = from_url("rediss://sre:pw@cache-1:7000/2")
    >>> str(connection.address), connection.username, connection.db, connection.tls is not None
    ('cache-1:7000', 'sre', 2, True)
    """
    base = base or Connection()
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadInput(f"the URL cannot be read: write {_FORMS}") from None
    if parts.scheme not in ("redis", "rediss", "valkey", "valkeys", "unix"):
        raise BadInput(f"this is not a Redis URL: write {_FORMS}")
    user, secret = (parts.username, parts.password) if parts.password is not None else (None, parts.username)
    username = unquote(user) if user else base.username
    password = Secret(unquote(secret)) if secret else base.password
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme == "unix":
        if not parts.path:
            raise BadInput(f"the URL names no socket: write {_FORMS}")
        address = Address(socket_path=whole_socket_path(unquote(parts.path)))
        db = _db(query.get("db"), base.db)
        return replace(base, address=address, username=username, password=password, db=db)
    db = _db(parts.path.strip("/") or query.get("db"), base.db)
    tls = (base.tls or Tls()) if parts.scheme in ("rediss", "valkeys") else base.tls
    address = Address(host or "127.0.0.1", port or 6379)
    return replace(base, address=address, username=username, password=password, db=db, tls=tls)


def parse_host_port(text: str, default_port: int) -> Address:
    """`HOST:PORT`, `[V6]:PORT` or `HOST`.

    >>> str(parse_host_port("[::1]:26379", 26379)), str(parse_host_port("a", 26379))
    ('[::1]:26379', 'a:26379')
    """
    if "@" in text:
        raise BadInput("an address is HOST:PORT, without user or password: those of Sentinels have options")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise BadInput(f"{text!r} is not an address: write HOST:PORT")
    return Address(host, port or default_port)


def _check(options: ConnectionOptions) -> None:
    for option, value in (("-h", options.host), ("-s", options.socket), ("-u", options.url)):
        if value == "":
            raise BadInput(f"{option} is empty: name a server, or leave it out")
    if options.url is not None and (options.host is not None or options.socket is not None):
        raise BadInput("-u already says where the server is: leave out -h and -s")
    if options.socket is not None and (options.host is not None or options.port is not None):
        raise BadInput("-s names a unix socket: leave out -h and -p")
    if bool(options.sentinels) != bool(options.master):
        raise BadInput("--sentinel and --master belong together: name the Sentinels and the master they watch")
    _check_papers("--", options.ca_file, options.cert_file, options.key_file)
    _check_papers("--sentinel-", options.sentinel_ca_file, options.sentinel_cert_file, options.sentinel_key_file)


def _check_papers(prefix: str, ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> None:
    if (cert_file is None) != (key_file is None):
        raise BadInput(f"{prefix}cert and {prefix}key belong together: name the certificate and its key")
    for option, path in (("cacert", ca_file), ("cert", cert_file), ("key", key_file)):
        if path is not None and not path.is_file():
            raise BadInput(f"{prefix}{option}: there is no plain file {str(path)!r}")


def _refuse_address(options: ConnectionOptions) -> None:
    """Raise BadInput for an address beside Sentinels, which would not be used."""
    given = {"-h": options.host, "-p": options.port, "-s": options.socket}
    for option, value in given.items():
        if value is not None:
            raise BadInput(f"{option} has no effect here: the Sentinels name the server. Leave it out")


def _with_address(options: ConnectionOptions, connection: Connection) -> Connection:
    if options.socket is not None:
        return replace(connection, address=Address(socket_path=options.socket))
    if options.host is None and options.port is None:
        return connection
    known = connection.address
    host = options.host if options.host is not None else known.host
    return replace(connection, address=Address(host, options.port or (6379 if options.host else known.port)))


def _tls(options: ConnectionOptions, known: Tls | None) -> Tls | None:
    if _tls_option(options) is None:
        return known
    known = known or Tls()
    return Tls(
        ca_file=options.ca_file or known.ca_file,
        cert_file=options.cert_file or known.cert_file,
        key_file=options.key_file or known.key_file,
        server_name=options.server_name or known.server_name,
        verify=known.verify and not options.insecure,
    )


def _tls_option(options: ConnectionOptions) -> str | None:
    """The first option that asks for TLS with the server."""
    given = {
        "--tls": options.tls,
        "--insecure": options.insecure,
        "--cacert": options.ca_file,
        "--cert": options.cert_file,
        "--sni": options.server_name,
    }
    return next((option for option, value in given.items() if value), None)


def _sentinel(
    options: ConnectionOptions, environment: Mapping[str, str], known: Sentinel | None, data: Tls | None
) -> Sentinel | None:
    sentinel = known
    if options.sentinels and options.master is not None:
        sentinel = Sentinel(tuple(parse_host_port(text, 26379) for text in options.sentinels), options.master)
    if sentinel is None:
        if (lost := _for_sentinels(options)) is not None:
            raise BadInput(f"{lost} requires --sentinel and --master: name the Sentinels and the master they watch")
        return None
    password = options.sentinel_password or sentinel.password
    if password is None and environment.get("REDIS_SENTINEL_AUTH"):
        password = Secret(environment["REDIS_SENTINEL_AUTH"])
    username = options.sentinel_user or sentinel.username
    return replace(sentinel, username=username, password=password, tls=_sentinel_tls(options, sentinel.tls, data))


def _sentinel_tls(
    options: ConnectionOptions, known: Tls | Literal[False] | None, data: Tls | None
) -> Tls | Literal[False] | None:
    """What the options say of TLS with the Sentinels; what they leave out is as `known`, else as the servers'."""
    named = _for_sentinels_tls(options)
    if options.sentinel_tls is False:
        if named is not None:
            raise BadInput(f"--no-sentinel-tls and {named} cannot be combined")
        return False
    if named is None and (options.sentinel_tls is None or known):
        return known
    base = known or data or Tls()
    return Tls(
        ca_file=options.sentinel_ca_file or base.ca_file,
        cert_file=options.sentinel_cert_file or base.cert_file,
        key_file=options.sentinel_key_file or base.key_file,
        server_name=options.sentinel_server_name or base.server_name,
        verify=base.verify and not options.sentinel_insecure,
    )


def _for_sentinels(options: ConnectionOptions) -> str | None:
    """An option given that means nothing without Sentinels; None where there is none."""
    given = {
        "--sentinel-user": options.sentinel_user is not None,
        "--sentinel-pass": options.sentinel_password is not None,
        "--sentinel-tls": options.sentinel_tls is True,
        "--no-sentinel-tls": options.sentinel_tls is False,
    }
    return next((option for option, there in given.items() if there), None) or _for_sentinels_tls(options)


def _for_sentinels_tls(options: ConnectionOptions) -> str | None:
    """An option given that is of the TLS spoken with the Sentinels; None where there is none."""
    given = {
        "--sentinel-cacert": options.sentinel_ca_file is not None,
        "--sentinel-cert": options.sentinel_cert_file is not None,
        "--sentinel-key": options.sentinel_key_file is not None,
        "--sentinel-sni": options.sentinel_server_name is not None,
        "--sentinel-insecure": options.sentinel_insecure,
    }
    return next((option for option, there in given.items() if there), None)


def _db(text: str | None, default: int | None) -> int | None:
    if text is None or text == "":
        return default
    number = plain_number(text)
    if number is None:
        raise BadInput(f"the URL's database is not a number: write {_FORMS}")
    return number
