"""What users may rely on: adding a name is a decision, removing one breaks somebody's script."""

from __future__ import annotations

import inspect

import pytest

import trackd

EXPORTS = """
    AuthenticationError CommError Config ConfigError Error LabelInUseError Metric Run Settings
    Summary UnsupportedError UsageError __version__ config define_metric finish init log run save
    setup summary teardown
"""
#: What a script may use of `trackd.Run`.
RUN = """
    config config_static define_metric dir disabled entity finish group id job_type log name notes
    offline path project resumed save settings start_time starting_step step summary sync_dir tags
    url
"""
#: Public for other modules of the SDK only.
RUN_INTERNAL = "backend begin close identity is_finished label use"


def test_the_export_list_is_this_one() -> None:
    assert sorted(trackd.__all__) == sorted(EXPORTS.split())
    assert set(trackd.__all__) <= set(dir(trackd))


@pytest.mark.parametrize("name", EXPORTS.split())
def test_an_exported_name_is_there_and_described(name: str) -> None:
    value = getattr(trackd, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert len(inspect.getdoc(value) or "") > 20


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        getattr(trackd, "no_such_thing")  # noqa: B009


@pytest.mark.parametrize(("name", "why"), [("Image", "not there yet"), ("login", "no login")])
def test_a_name_of_wandb_that_is_missing_is_told_from_a_typo(name: str, why: str) -> None:
    assert not hasattr(trackd, name)
    with pytest.raises(AttributeError, match=why):
        getattr(trackd, name)


def test_the_members_of_a_run_are_these() -> None:
    public = {name for name in dir(trackd.Run) if not name.startswith("_")}
    assert public - set(RUN_INTERNAL.split()) == set(RUN.split())


@pytest.mark.parametrize("name", RUN.split())
def test_a_member_of_a_run_is_described(name: str) -> None:
    assert len(inspect.getdoc(inspect.getattr_static(trackd.Run, name)) or "") > 10
