"""What users may rely on: adding a name is a decision, removing one breaks somebody's script."""

from __future__ import annotations

import inspect

import pytest

import trackd

EXPORTS = """
    AlertLevel Api Artifact ArtifactTTL Audio AuthenticationError Classes CommError Config
    ConfigError Error EvalTable Graph Histogram Html Image JoinedTable LabelInUseError Metric
    Molecule Object3D Plotly Run Settings Summary Table UnsupportedError UsageError Video
    __version__ alert box3d config data_types define_metric finish init integration join
    link_model log
    log_artifact log_model login mark_preempting pin_config_keys plot plot_table require restore run
    save setup summary teardown termerror termlog termsetup termwarn unwatch use_artifact
    use_model visualize watch
"""
#: What a script may use of `trackd.Run`.
RUN = """
    alert config config_static define_metric dir disabled display entity finish
    finish_artifact group id job_type link_artifact link_model log log_artifact log_code
    log_model mark_preempting name notes offline path pin_config_keys project project_url
    restore resumed save settings start_time starting_step status step summary sweep_id
    sweep_url sync_dir tags to_html unwatch upsert_artifact url use_artifact use_model watch
    write_logs
"""
#: Public for other modules of the SDK only.
RUN_INTERNAL = """
backend before_finish begin close identity is_finished label remote require_open use
"""


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


@pytest.mark.parametrize("name", ["agent", "controller", "sweep"])
def test_a_name_of_wandb_that_is_missing_is_told_from_a_typo(name: str) -> None:
    assert not hasattr(trackd, name)
    with pytest.raises(AttributeError, match="not there yet"):
        getattr(trackd, name)


def test_the_members_of_a_run_are_these() -> None:
    public = {name for name in dir(trackd.Run) if not name.startswith("_")}
    assert public - set(RUN_INTERNAL.split()) == set(RUN.split())


@pytest.mark.parametrize("name", RUN.split())
def test_a_member_of_a_run_is_described(name: str) -> None:
    assert len(inspect.getdoc(inspect.getattr_static(trackd.Run, name)) or "") > 10
