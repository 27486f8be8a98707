"""What CONFIG REWRITE would write beside the setting it is meant for."""

from redis_oom_tui.models.settings import Change
from redis_oom_tui.rules.tuning import ServerFile, rewrite_effects, settings_to_compare

FILE = {"maxmemory": "100mb", "maxmemory-policy": "noeviction", "hz": "10", "requirepass": "secret", "save": "60 1"}
RUNNING = {"maxmemory": "104857600", "maxmemory-policy": "allkeys-lru", "maxmemory-samples": "10", "hz": "10"}


def effects(name: str, file: ServerFile, *done: Change) -> str:
    return " ".join(rewrite_effects(name, file, RUNNING, done))


def test_what_differs_from_the_file_is_named_and_a_size_in_other_words_is_no_difference() -> None:
    said = effects("maxmemory-clients", ServerFile("/etc/r.conf", FILE))
    assert "/etc/r.conf: maxmemory-policy allkeys-lru (noeviction in the file), maxmemory-samples 10 (not in" in said
    assert "maxmemory 1" not in said
    assert "hz" not in said


def test_the_setting_itself_is_not_told_of() -> None:
    assert "maxmemory-policy" not in effects("maxmemory-policy", ServerFile("/etc/r.conf", FILE))


def test_passwords_are_neither_asked_for_nor_told() -> None:
    assert "requirepass" not in settings_to_compare(ServerFile("/etc/r.conf", FILE))
    assert "secret" not in effects("hz", ServerFile("/etc/r.conf", FILE))


def test_an_unseen_file_is_said_to_be_unseen_with_what_runs_and_what_this_tool_did() -> None:
    said = effects("hz", ServerFile("/etc/r.conf"), Change("active-expire-effort", "1", "10"), Change("hz", "10", "50"))
    assert "differs from /etc/r.conf, which cannot be read from here" in said
    assert "maxmemory 100.0 MiB, maxmemory-policy allkeys-lru" in said
    assert said.endswith("This tool changed, since the server started: active-expire-effort (to 10).")


def test_without_a_file_there_is_nothing_to_write_to() -> None:
    assert effects("hz", ServerFile("")) == "The server runs without a config file: CONFIG REWRITE will be refused."
    assert "differs from the config file" in effects("hz", ServerFile(None))


def test_what_this_tool_changed_and_put_back_is_not_told() -> None:
    there, back = Change("activedefrag", "no", "yes"), Change("activedefrag", "yes", "no")
    assert "This tool" not in effects("hz", ServerFile("/etc/r.conf", FILE), there, back)
    assert "activedefrag (to yes)" in effects("hz", ServerFile("/etc/r.conf", FILE), there, back, there)
