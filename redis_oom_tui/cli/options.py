"""The options that stand before the command: redis-cli's for the connection, ours for the screen and the files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from redis_oom_tui.cli.completion import profile_names


def _options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_FILE = click.Path(path_type=Path, dir_okay=False)

connection_options = _options(
    click.option("-h", "--host", "host", metavar="HOST", help="Server host (127.0.0.1)."),
    click.option("-p", "--port", "port", type=click.IntRange(1, 65535), metavar="PORT", help="Server port (6379)."),
    click.option("-s", "--socket", "socket", metavar="PATH", help="Unix socket, in place of host and port."),
    click.option("-u", "--url", "url", metavar="URL", help="redis://, rediss:// or unix:// URL (or REDIS_URL)."),
    click.option("-a", "--pass", "password", metavar="PASSWORD", help="Password; REDISCLI_AUTH keeps it off the list."),
    click.option("--user", "user", metavar="NAME", help="ACL user name."),
    click.option("--askpass", is_flag=True, help="Ask for the password on the terminal."),
    click.option("--pass-file", "password_file", type=_FILE, metavar="FILE", help="Read the password from a file."),
    click.option("--pass-command", "password_command", metavar="CMD", help="Run a command that prints the password."),
    click.option("-n", "--db", "db", type=click.IntRange(0), metavar="DB", help="One database; without it, all."),
    click.option("--tls", is_flag=True, help="Speak TLS."),
    click.option("--cacert", "ca_file", type=_FILE, metavar="FILE", help="Authority to trust."),
    click.option("--cert", "cert_file", type=_FILE, metavar="FILE", help="Client certificate."),
    click.option("--key", "key_file", type=_FILE, metavar="FILE", help="Its private key."),
    click.option("--sni", "server_name", metavar="NAME", help="Server name for TLS, where it is not the host."),
    click.option("--insecure", is_flag=True, help="Speak TLS without checking the certificate."),
    click.option("-c", "--cluster", "cluster", is_flag=True, help="The server is a node of a cluster: show them all."),
    click.option("--sentinel", "sentinels", multiple=True, metavar="HOST:PORT", help="Ask this Sentinel (repeatable)."),
    click.option("--master", "master", metavar="NAME", help="The master that the Sentinels watch."),
    click.option("--sentinel-user", "sentinel_user", metavar="NAME", help="The Sentinels' own ACL user name."),
    click.option(
        "--sentinel-pass", "sentinel_password", metavar="PASSWORD", help="Their own password (or REDIS_SENTINEL_AUTH)."
    ),
    click.option(
        "--sentinel-tls/--no-sentinel-tls", "sentinel_tls", default=None, help="TLS with them (as with the server)."
    ),
    click.option("--sentinel-cacert", "sentinel_ca_file", type=_FILE, metavar="FILE", help="Their own authority."),
    click.option("--sentinel-cert", "sentinel_cert_file", type=_FILE, metavar="FILE", help="Certificate for them."),
    click.option("--sentinel-key", "sentinel_key_file", type=_FILE, metavar="FILE", help="Its private key."),
    click.option("--sentinel-sni", "sentinel_server_name", metavar="NAME", help="Their name for TLS."),
    click.option("--sentinel-insecure", is_flag=True, help="TLS with them without checking the certificate."),
    click.option(
        "--limit", "limit", metavar="SIZE", help="State the limit of a server that does not report maxmemory."
    ),
    click.option("--read-only", is_flag=True, help="Refuse every change, in the tool as well."),
)

screen_options = _options(
    click.option(
        "--interval", type=click.FloatRange(0.1, 3600), default=1.0, metavar="SECONDS", help="Between polls (1)."
    ),
    click.option("--color/--no-color", "color", default=None, help="Force or drop colours (NO_COLOR is honoured)."),
    click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII only."),
    click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
    click.option("--theme", metavar="NAME", help="dark, light, high-contrast, ansi-dark or ansi-light."),
    click.option("--plain", is_flag=True, help="A line a tick in place of the screen."),
    click.option("--no-diff", is_flag=True, help="Send whole frames (for a terminal that loses cells)."),
)

file_options = _options(
    click.option("--config", "config_path", type=_FILE, metavar="FILE", help="Configuration file (TOML)."),
    click.option(
        "--profile",
        "profile",
        metavar="NAME",
        shell_complete=profile_names,
        help="Profile in the configuration file.",
    ),
    click.option("--audit", "audit_path", type=_FILE, metavar="FILE", help="Where actions are written down."),
    click.option("--record", "record_path", type=_FILE, metavar="FILE", help="Keep what is shown, for `replay`."),
)
