"""Each setting of Limits is one record, and all that a finding proposes to set is among them."""

import inspect
import re

import pytest

from redis_oom_tui.formatting.settings import short_value
from redis_oom_tui.models.errors import BadInput
from redis_oom_tui.rules import findings, tuning


@pytest.mark.parametrize("name", tuning.SETTINGS)
def test_a_setting_says_what_it_does_and_reads_what_the_server_starts_with(name: str) -> None:
    setting = tuning.SETTINGS[name]
    assert setting.sentence.endswith(".")
    typed = tuning.as_typed(name, setting.default or ("yes" if setting.choices else "4096"))
    assert setting.read(typed) in {setting.default, "yes", "4096"}
    assert not setting.choices or all(setting.read(choice) == choice for choice in setting.choices)
    with pytest.raises(BadInput):
        tuning.check_value(name, "")


def test_a_setting_in_bytes_is_shown_as_a_size() -> None:
    def takes_bytes(name: str) -> bool:
        try:
            return tuning.SETTINGS[name].read("64mb") == "67108864"
        except BadInput:
            return False

    shown = {name for name in tuning.SETTINGS if short_value(name, "67108864") == "64.0 MiB"}
    assert shown == {name for name in tuning.SETTINGS if takes_bytes(name)} >= {"maxmemory"}


def test_what_a_finding_sets_can_be_set_in_limits() -> None:
    modules = {inspect.getmodule(rule.judge) for rule in findings.RULES}
    source = "\n".join(inspect.getsource(module) for module in modules if module is not None)
    named = set(re.findall(r'\bsetting="([a-z-]+)"', source))
    assert len(named) > 4
    assert named <= set(tuning.SETTINGS)
