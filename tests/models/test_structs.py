"""The structs that hold secrets show all but those, however they are shown."""

import pytest
from rich.pretty import pretty_repr

from redis_oom_tui.models.config import SecretKind, SecretSource
from redis_oom_tui.models.structs import StructWithSecrets, replace


@pytest.mark.parametrize("show", [repr, str, pretty_repr])
def test_a_secret_field_is_never_shown(show):
    value = SecretSource(SecretKind.LITERAL, "hunter2")
    assert "hunter2" not in show(value)
    assert type(value).__name__ in show(value)


def test_every_struct_with_secrets_names_fields_that_it_has():
    kinds = StructWithSecrets.__subclasses__()
    assert {kind.__name__ for kind in kinds} >= {"SecretSource"}
    assert all(set(kind.__struct_fields__) >= kind.SECRET_FIELDS for kind in kinds)


def test_a_copy_shares_the_other_fields_and_leaves_the_first_as_it_was():
    first = SecretSource(SecretKind.FILE, "/run/secret")
    assert replace(first, place="/run/other") == SecretSource(SecretKind.FILE, "/run/other")
    assert first.place == "/run/secret"
    with pytest.raises(AttributeError, match="immutable"):
        first.place = "/run/other"
