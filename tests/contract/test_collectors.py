"""What holds for every collector there is, and for each that will be added."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from pathlib import Path

import psutil
import pytest
from tests.support.machine import Machine

from trackd_agent.monitor import collectors as collectors_package
from trackd_agent.monitor.contract import NoDataError, Readings, Registration
from trackd_agent.monitor.readers import Readers
from trackd_agent.monitor.registry import REGISTRATIONS, choose

#: What every Linux machine has: it cannot be missing.
ALWAYS_THERE = {"memory"}

each_collector = pytest.mark.parametrize("registration", REGISTRATIONS, ids=lambda each: each.name)


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(tmp_path)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(machine.proc))
    return machine


def test_the_registry_has_the_collectors_of_a_host() -> None:
    assert {each.name for each in REGISTRATIONS} >= {
        "cgroup",
        "disk",
        "memory",
        "network",
        "process",
    }


@each_collector
def test_its_file_is_named_after_it_and_it_does_nothing_that_the_contract_does_not_name(
    registration: Registration, empty_machine: Machine
) -> None:
    collector = registration.make(Readers.of(empty_machine.config))
    module = sys.modules[type(collector).__module__]
    assert module.__name__ == f"{collectors_package.__name__}.{registration.name}"
    methods = inspect.getmembers(collector, inspect.ismethod)
    public = {name for name, _ in methods if not name.startswith("_")}
    assert "collect" in public
    assert public <= {"collect", "describe", "describe_for", "forget"}


@each_collector
def test_it_finds_no_data_where_there_is_none(
    registration: Registration, empty_machine: Machine
) -> None:
    if registration.name in ALWAYS_THERE:
        pytest.skip("every machine has it")
    collector = registration.make(Readers.of(empty_machine.config))
    with pytest.raises(NoDataError):
        collector.collect([empty_machine.target(pid=2**22 - 1)])


@each_collector
def test_its_keys_and_subjects_are_those_of_the_targets(
    registration: Registration, tmp_path: Path
) -> None:
    machine = Machine(tmp_path)
    real = Readers.of(
        machine.config.model_copy(update={"proc_root": Path("/proc"), "sys_root": Path("/sys")})
    )
    target = machine.target(os.getpid(), disk_paths=("/",))
    try:
        found = registration.make(real).collect([target])
    except NoDataError:
        return
    assert isinstance(found, Readings)
    assert set(found.by_subject) <= {target.key}
    for reading in found.shared + found.by_subject.get(target.key, []):
        assert reading.key == reading.key.strip()
        assert isinstance(reading.amount, int | float)


@each_collector
def test_it_keeps_nothing_from_one_tick_to_the_next(registration: Registration) -> None:
    """Starting points belong to the series of each subject: `collect` assigns no attribute."""
    module = sys.modules[f"{collectors_package.__name__}.{registration.name}"]
    tree = ast.parse(inspect.getsource(module))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef) or function.name == "__init__":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                pytest.fail(f"{function.name} assigns {ast.unparse(node)}")


def test_switching_is_by_name_and_a_wrong_name_is_refused() -> None:
    names = [each.name for each in choose(REGISTRATIONS, {"disk": False})]
    assert "disk" not in names
    assert "memory" in names
    with pytest.raises(ValueError, match=r"unknown collector disc; there are .*cgroup"):
        choose(REGISTRATIONS, {"disc": False})
