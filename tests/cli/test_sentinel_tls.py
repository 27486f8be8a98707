"""TLS with the Sentinels: as with the servers, unless an option or a profile says otherwise."""

from pathlib import Path

import pytest

from redis_oom_tui.cli.connecting import ConnectionOptions, resolve
from redis_oom_tui.files import config
from redis_oom_tui.models.address import Address, Connection, Sentinel, Tls
from redis_oom_tui.models.errors import BadInput


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "papers"
    path.write_text("papers")
    return path


def _asked(base: Connection | None = None, **given: object) -> Connection:
    options = given if base is not None else {"sentinels": ("s1",), "master": "m", **given}
    return resolve(ConnectionOptions(**options), {}, base)  # type: ignore[arg-type]


def _theirs(connection: Connection) -> Tls | None:
    assert connection.sentinel is not None
    return connection.sentinel.tls_beside(connection.tls)


def test_without_a_word_it_is_as_with_the_servers(file: Path) -> None:
    assert _theirs(_asked()) is None
    assert _theirs(_asked(tls=True, ca_file=file, insecure=True)) == Tls(ca_file=file, verify=False)


def test_either_side_alone(file: Path) -> None:
    plain = _asked(tls=True, sentinel_tls=False)
    assert (plain.tls, _theirs(plain)) == (Tls(), None)
    theirs = _asked(sentinel_tls=True, sentinel_ca_file=file)
    assert (theirs.tls, _theirs(theirs)) == (None, Tls(ca_file=file))


def test_what_is_left_out_is_as_with_the_servers(file: Path) -> None:
    connection = _asked(ca_file=file, server_name="cache", sentinel_server_name="guard")
    assert connection.tls == Tls(ca_file=file, server_name="cache")
    assert _theirs(connection) == Tls(ca_file=file, server_name="guard")
    unchecked = _asked(ca_file=file, sentinel_insecure=True)
    assert unchecked.tls == Tls(ca_file=file)
    assert _theirs(unchecked) == Tls(ca_file=file, verify=False)
    papers = _theirs(_asked(sentinel_cert_file=file, sentinel_key_file=file))
    assert papers == Tls(cert_file=file, key_file=file)


@pytest.mark.parametrize("known", [None, False, Tls(server_name="guard")])
def test_options_stand_over_a_profile(known: Tls | None) -> None:
    profile = Connection(tls=Tls(), sentinel=Sentinel((Address("s1", 26379),), "m", tls=known))
    as_known = Sentinel((Address("s1", 26379),), "m", tls=known).tls_beside(Tls())
    assert _theirs(_asked(profile)) == as_known
    assert _theirs(_asked(profile, sentinel_tls=False)) is None
    assert _theirs(_asked(profile, sentinel_tls=True)) == (known or Tls())
    assert _theirs(_asked(profile, sentinel_insecure=True)) == Tls(
        server_name=(known or Tls()).server_name, verify=False
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"sentinel_tls": False, "sentinel_insecure": True},
            "--no-sentinel-tls and --sentinel-insecure cannot be combined",
        ),
        ({"sentinel_tls": False, "sentinel_server_name": "s"}, "and --sentinel-sni cannot be combined"),
        ({"sentinel_cert_file": Path("/c")}, "--sentinel-cert and --sentinel-key belong together"),
        ({"sentinel_ca_file": Path("/no/such/file")}, "--sentinel-cacert: there is no plain file '/no/such/file'"),
    ],
)
def test_what_contradicts_itself_is_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        _asked(**given)


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"sentinel_tls": True}, "--sentinel-tls"),
        ({"sentinel_tls": False}, "--no-sentinel-tls"),
        ({"sentinel_server_name": "s"}, "--sentinel-sni"),
        ({"sentinel_insecure": True}, "--sentinel-insecure"),
    ],
)
def test_without_sentinels_it_means_nothing(given: dict[str, object], option: str) -> None:
    with pytest.raises(BadInput, match=f"^{option} requires --sentinel and --master: name the Sentinels"):
        _asked(Connection(), **given)


@pytest.mark.parametrize(
    ("line", "theirs"),
    [
        ("", Tls(server_name="cache")),
        ("sentinel_tls = false", None),
        ("sentinel_tls = true", Tls(server_name="cache")),
        ("sentinel_tls = { server_name = 'guard', verify = false }", Tls(server_name="guard", verify=False)),
        ("sentinel_tls = { verify = false }", Tls(server_name="cache", verify=False)),
    ],
)
def test_a_profile_says_it(tmp_path: Path, line: str, theirs: Tls | None) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        f"[profiles.p]\nsentinels = ['s1:26379']\nmaster = 'm'\ntls = {{ server_name = 'cache' }}\n{line}\n"
    )
    connection = config.load(file).connection("p")
    assert connection.tls == Tls(server_name="cache")
    assert _theirs(connection) == theirs


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sentinel_tls = 3", "line 4: profiles.p.sentinel_tls must be true or false"),
        ("sentinel_tls = { cca = 'x' }", "line 4: profiles.p.sentinel_tls.cca is not known here; did you mean ca?"),
    ],
)
def test_a_profile_that_says_it_wrongly(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[profiles.p]\nsentinels = ['s1:26379']\nmaster = 'm'\n{line}\n")
    with pytest.raises(BadInput, match=words):
        config.load(file)
