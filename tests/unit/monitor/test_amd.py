"""AMD GPUs: the same keys from each of the three sources, and nothing from broken ones."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.support.cases import (
    Watcher,
    assert_sample,
    build_library,
    install_tool,
    needs_gcc,
    read_case,
)
from tests.support.machine import SAMPLES, Machine, needs_samples

from trackd_agent.monitor.collectors.amd import environment, gpu_of_card, number, values
from trackd_agent.monitor.contract import NoDataError
from trackd_agent.monitor.readers.amd import CardsError, parse_cards
from trackd_agent.monitor.readers.gpu_numbers import PATIENCE_S, GpuNumbers
from trackd_agent.monitor.readers.tool import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trackd_agent.monitor.subject import Target

ROCM_SMI_CASES = ["rocm_smi_5", "rocm_smi_6", "rocm_smi_6_mi300x"]


def card(**fields: Any) -> dict[str, float]:
    """Return the values of card 0 with these fields, spaces written as underscores."""
    named = {name.replace("_", " "): value for name, value in fields.items()}
    return values(gpu_of_card(0, parse_cards(json.dumps({"card0": named}))[0]))


@needs_samples
@pytest.mark.parametrize("name", ROCM_SMI_CASES)
def test_the_recorded_outputs_of_rocm_smi_give_the_expected_values(name: str) -> None:
    case = read_case(name)
    cards = parse_cards((SAMPLES / name / "rocm-smi.json").read_text())
    gpus = [gpu_of_card(index, fields) for index, fields in cards.items()]
    found = {f"gpu.{gpu.index}.{key}": value for gpu in gpus for key, value in values(gpu).items()}
    assert_sample(case, case["samples"][0], found)
    described = environment(gpus)
    assert {key: described[key] for key in case["metadata"]} == case["metadata"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        (" 4.5% ", 4.5),
        ("-3", -3),
        ("1e3", 1000),
        ("18446744073709551615", 2.0**64),
        ("N/A", None),
        ("N/A (Secondary die)", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("9" * 400, None),
        ("1_000", None),
        ("", None),
        ("12 W", None),
    ],
)
def test_a_field_is_a_number_or_nothing(text: str, value: float | None) -> None:
    assert number(text) == value


def test_fields_that_are_no_numbers_have_no_key() -> None:
    field = {
        "GPU use (%)": "N/A",
        "GPU memory use (%)": "33.25%",
        "Temperature (Sensor edge) (C)": "40",
    }
    assert card(**field) == {"memoryAllocated": 33.25}


def test_numbers_need_not_be_texts_and_names_may_differ_in_case() -> None:
    assert card(**{"gpu Use (%)": 12, "Temperature (Sensor mem) (c)": 45.5}) == {
        "gpu": 12,
        "temp": 45.5,
    }


def test_bare_nan_infinity_null_and_booleans_are_no_numbers() -> None:
    text = (
        '{"card0": {"GPU use (%)": NaN, "GPU memory use (%)": Infinity,'
        ' "GPU Memory OverDrive value (%)": null, "Temperature (Sensor memory) (C)": true}}'
    )
    assert values(gpu_of_card(0, parse_cards(text)[0])) == {}


def test_the_second_power_field_counts_where_the_first_says_nothing() -> None:
    fields = {
        "Average Graphics Package Power (W)": "N/A",
        "Current Socket Graphics Package Power (W)": "150.0",
        "Max Graphics Package Power (W)": "600.0",
    }
    assert card(**fields) == {"powerWatts": 150, "powerPercent": 25}


@pytest.mark.parametrize("cap", ["0.0", "N/A", "-1"])
def test_without_a_limit_there_is_power_but_no_percent(cap: str) -> None:
    fields = {
        "Average Graphics Package Power (W)": "89.0",
        "Max Graphics Package Power (W)": cap,
    }
    assert card(**fields) == {"powerWatts": 89}


def test_warnings_around_the_json_are_skipped() -> None:
    text = 'WARNING: AMD GPU device(s) is/are in a low-power state {idle}\n{"card1": {}}\ndone\n'
    assert parse_cards(text) == {1: {}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        '{"card0": {"GPU use (%)": "1',
        "{" * 2,
        '{"a":' * 100_000,
        '{"a": ' + "9" * 9000,
    ],
)
def test_output_without_a_whole_object_is_an_error(text: str) -> None:
    with pytest.raises(CardsError, match="rocm-smi printed"):
        parse_cards(text)


def test_what_is_no_card_is_skipped() -> None:
    text = '{"system": {"a": "b"}, "cardX": {}, "card01": {}, "card2": [], "card3": {"n": ["x"]}}'
    assert parse_cards(text) == {3: {}}


@pytest.fixture
def box(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine with an AMD driver, and nothing of ROCm but what the test installs."""
    driver = machine.sys / "module" / "amdgpu"
    driver.mkdir(parents=True)
    (driver / "initstate").write_text("live\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    yield machine


@pytest.fixture(scope="session")
def rocm_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for `librocm_smi64.so`: two GPUs."""
    return build_library("rsmi_stub.c", tmp_path_factory.mktemp("rocm"), "librocm_smi64.so")


@pytest.fixture(scope="session")
def amd_smi_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for `libamd_smi.so`: the same two GPUs."""
    package = importlib.util.find_spec("amdsmi")
    if package is None or package.origin is None:
        pytest.skip("the Python package amdsmi is not installed")
    folder = tmp_path_factory.mktemp("amdsmi")
    stub = Path(__file__).parents[2] / "support" / "stubs" / "amdsmi_stub.c"
    wrapper = Path(package.origin).with_name("amdsmi_wrapper.py").read_text()
    bound = set(re.findall(r"_libraries\['libamd_smi.so'\]\.(\w+)", wrapper))
    missing = bound - set(re.findall(r"\bint (amdsmi_\w+)\(", stub.read_text()))
    rest = folder / "rest.c"
    rest.write_text("".join(f"int {name}(void) {{ return 2; }}\n" for name in sorted(missing)))
    command = ["gcc", "-shared", "-fPIC", "-o", folder / "libamd_smi.so", stub, rest]
    subprocess.run(command, check=True)
    return folder


def watch(machine: Machine, *targets: Target, **config: Any) -> Watcher:
    changes = {"collectors": {"nvidia": False}} | config  # nobody counts GPUs of NVIDIA
    return Watcher(
        machine.config.model_copy(update=changes), "amd", *(targets or [machine.target()])
    )


@needs_samples
def test_the_tool_is_asked_where_there_is_no_library(box: Machine, tmp_path: Path) -> None:
    output = SAMPLES / "rocm_smi_6" / "rocm-smi.json"
    install_tool(tmp_path / "bin", "rocm-smi", f'[ "$*" = "-a --json" ] && cat {output}')
    case = read_case("rocm_smi_6")
    watcher = watch(box)
    for _ in range(3):
        assert_sample(case, case["samples"][0], watcher.sample())
    assert watcher.collector.describe()["gpu_count"] == 1
    assert watcher.problems == []


@pytest.mark.parametrize("state", ["coming", "going", ""])
def test_without_a_driver_nothing_is_asked(box: Machine, tmp_path: Path, state: str) -> None:
    install_tool(tmp_path / "bin", "rocm-smi", f"touch {tmp_path}/asked; echo '{{}}'")
    (box.sys / "module" / "amdgpu" / "initstate").write_text(state)
    watcher = watch(box)
    for ask in (watcher.sample, watcher.collector.describe):
        with pytest.raises(NoDataError, match="no AMD driver"):
            ask()
    assert not (tmp_path / "asked").exists()


def test_a_driver_that_is_part_of_the_kernel_has_no_state(box: Machine) -> None:
    (box.sys / "module" / "amdgpu" / "initstate").unlink()
    with pytest.raises(NoDataError, match=r"librocm_smi64\.so.*there is no program rocm-smi"):
        watch(box).sample()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'no driver?' >&2; exit 3", "status 3: no driver\\?"),
        ("yes '{'", "more than 1048576 bytes"),
        ("exit 0", "rocm-smi printed no JSON object"),
        ('echo \'{"card0": {"GPU use\'', "rocm-smi printed broken JSON"),
    ],
)
def test_a_tool_that_fails_is_a_failure_with_its_reason(
    box: Machine, tmp_path: Path, script: str, error: str
) -> None:
    install_tool(tmp_path / "bin", "rocm-smi", script)
    with pytest.raises((ToolError, CardsError), match=error):
        watch(box).sample()


def test_a_tool_that_exits_badly_after_its_answer_has_answered(
    box: Machine, tmp_path: Path
) -> None:
    """`rocm-smi` ends with an error where one device does not support one of its questions."""
    install_tool(tmp_path / "bin", "rocm-smi", """echo '{"card0": {"GPU use (%)": "5"}}'; exit 2""")
    assert watch(box).sample() == {"gpu.0.gpu": 5}


def test_a_machine_without_cards_has_no_data(box: Machine, tmp_path: Path) -> None:
    install_tool(tmp_path / "bin", "rocm-smi", "echo '{\"system\": {}}'")
    with pytest.raises(NoDataError, match="lists no card"):
        watch(box).sample()


def test_a_slow_tool_counts_for_the_next_sample(box: Machine, tmp_path: Path) -> None:
    go_on = tmp_path / "go_on"
    wait = f"while ! [ -e {go_on} ]; do sleep 0.01; done"
    script = f"""{wait}; echo '{{"card0": {{"GPU use (%)": "5"}}}}'"""
    install_tool(tmp_path / "bin", "rocm-smi", script)
    watcher = watch(box, deadline_s=0.2)
    with pytest.raises(ToolError, match="still at work"):
        watcher.sample()
    with pytest.raises(ToolError, match="still at work"):  # at once: nobody waits twice
        watcher.sample()
    go_on.touch()
    until_s = time.monotonic() + 120
    found: dict[str, float] = {}
    while not found and time.monotonic() < until_s:
        time.sleep(0.05)
        with contextlib.suppress(ToolError):
            found = watcher.sample()
    assert found == {"gpu.0.gpu": 5}
    assert watcher.problems == ["rocm-smi is slow: its figures are those of one sample before"]


def test_a_tool_that_hangs_holds_nobody_up_and_ends_with_its_children(
    box: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trackd_agent.monitor.readers.tool.RUN_S", 0.3)
    install_tool(tmp_path / "bin", "rocm-smi", f"sleep 60 & echo $! > {tmp_path}/sleeper; wait")
    watcher = watch(box, deadline_s=0.1)
    with pytest.raises(ToolError, match="still at work"):
        watcher.sample()
    reason = ""
    until_s = time.monotonic() + 120
    while "gave no answer" not in reason and time.monotonic() < until_s:
        time.sleep(0.02)
        with pytest.raises(ToolError) as raised:
            watcher.sample()
        reason = str(raised.value)
    assert re.fullmatch(r"rocm-smi gave no answer in time; next try in \d+ s", reason), reason
    sleeper = int((tmp_path / "sleeper").read_text())
    while psutil.pid_exists(sleeper) and psutil.Process(sleeper).status() != "zombie":
        time.sleep(0.01)


@needs_samples
@needs_gcc
def test_the_library_gives_what_the_reference_gave(
    box: Machine, rocm_library: Path, tmp_path: Path
) -> None:
    install_tool(tmp_path / "bin", "rocm-smi", f"touch {tmp_path}/asked; echo '{{}}'")
    case = read_case("rsmi_library")
    with watch(box, library_path=str(rocm_library)) as watcher:
        for _ in range(2):
            seen = watcher.sample()
            assert_sample(case, case["samples"][0], seen)
            assert seen["gpu.0.energyJoules"] == pytest.approx(15.300000190734863)
        assert watcher.collector.describe() == case["metadata"]
    assert not (tmp_path / "asked").exists()


@needs_samples
@needs_gcc
def test_calls_that_fail_leave_their_keys_out_and_ids_choose(
    box: Machine, rocm_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As measured with the reference: no power without `rsmi_dev_power_get`, no percent either."""
    monkeypatch.setenv(
        "STUB_RSMI_FAIL", "rsmi_dev_power_get,rsmi_dev_temp_metric_get,rsmi_dev_unique_id_get"
    )
    target = box.target()
    chosen = replace(target, subject=replace(target.subject, key="chosen", gpu_device_ids=(1, 7)))
    with watch(box, target, chosen, library_path=str(rocm_library)) as watcher:
        names = {
            "gpu",
            "memoryAllocated",
            "memoryReadWriteActivity",
            "memoryOverDrive",
            "energyJoules",
        }
        assert watcher.sample().keys() == {f"gpu.{i}.{name}" for i in (0, 1) for name in names}
        assert watcher.sample(chosen).keys() == {f"gpu.1.{name}" for name in names}
        assert "uniqueId" not in watcher.collector.describe()["gpu_amd"][0]


@needs_samples
@needs_gcc
def test_an_energy_counter_without_a_step_is_none(box: Machine, tmp_path: Path) -> None:
    """As measured with the reference."""
    source = (SAMPLES / "stubs" / "rsmi_stub.c").read_text()
    stub = tmp_path / "stub.c"
    stub.write_text(source.replace("*r=15.3f", "*r=d?-1:0"))
    library = tmp_path / "librocm_smi64.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, stub], check=True)
    with watch(box, library_path=str(tmp_path)) as watcher:
        keys = watcher.sample().keys()
    assert {"gpu.0.powerWatts", "gpu.1.powerWatts"} <= keys
    assert not any(key.endswith("energyJoules") for key in keys)


@needs_samples
@needs_gcc
def test_a_library_before_rocm_5_7_tells_the_averaged_power(box: Machine, tmp_path: Path) -> None:
    """As measured with the reference, which uses the old function where the new one is missing."""
    stub = SAMPLES / "stubs" / "rsmi_stub.c"
    library = tmp_path / "librocm_smi64.so"
    command = ["gcc", "-Drsmi_dev_power_get=rsmi_none", "-shared", "-fPIC", "-o", library, stub]
    subprocess.run(command, check=True)
    with watch(box, library_path=str(tmp_path)) as watcher:
        assert watcher.sample()["gpu.0.powerWatts"] == 290


@needs_samples
@needs_gcc
def test_where_the_library_fails_the_tool_stands_in(
    box: Machine, rocm_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_RSMI_INIT", "8")
    install_tool(tmp_path / "bin", "rocm-smi", """echo '{"card0": {"GPU use (%)": "5"}}'""")
    with watch(box, library_path=str(rocm_library)) as watcher:
        assert watcher.sample() == {"gpu.0.gpu": 5}


@needs_samples
@needs_gcc
def test_where_only_amd_smi_is_there_it_gives_the_same_keys(
    box: Machine, amd_smi_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real Python package on a stand-in of its library, which tells whole watts and degrees."""
    expected = read_case("rsmi_library")["samples"][0]["expect"]
    with watch(box, library_path=str(amd_smi_library)) as watcher:
        seen = watcher.sample()
        assert seen.keys() == expected.keys()
        exact = {"gpu", "memoryAllocated", "memoryReadWriteActivity", "memoryOverDrive"}
        for key in (f"gpu.{i}.{name}" for i in (0, 1) for name in exact):
            assert seen[key] == pytest.approx(expected[key], rel=1e-9)
        assert (seen["gpu.0.temp"], seen["gpu.1.temp"]) == (60, 61)
        assert (seen["gpu.0.powerWatts"], seen["gpu.1.powerWatts"]) == (300, 290)
        assert seen["gpu.0.powerPercent"] == 40
        assert seen["gpu.0.energyJoules"] == pytest.approx(15.300000190734863)
        first, second = watcher.collector.describe()["gpu_amd"]
        assert first == {
            "id": "0",
            "uniqueId": "0x000000ABCDEF0000",
            "vbiosVersion": "113-STUB-001",
            "performanceLevel": "auto",
            "gpuOverdrive": "4",
            "gpuMemoryOverdrive": "3",
            "maxPower": "750.0",
            "series": "AMD Instinct Stub 0",
            "model": "0x74a1",
            "vendor": "Advanced Micro Devices Inc. [AMD/ATI]",
            "sku": "STUB",
            "sclkRange": "500Mhz - 2100Mhz",
            "mclkRange": "900Mhz - 1300Mhz",
        }
        assert "sclkRange" not in second
    monkeypatch.setenv("STUB_AMDSMI_INIT", "34")  # no driver
    with (
        watch(box, library_path=str(amd_smi_library)) as watcher,
        pytest.raises(NoDataError, match="amdsmi does not initialise"),
    ):
        watcher.sample()


def test_amd_gpus_are_numbered_after_those_of_nvidia() -> None:
    numbers = GpuNumbers(nvidia_expected=True)
    numbers.counted_nvidia(4)
    assert numbers.first_amd() == 4
    numbers.counted_nvidia(3)  # one is lost: the others keep their names
    assert numbers.first_amd() == 4


def test_amd_gpus_have_no_numbers_until_nvidia_has_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trackd_agent.monitor.readers.gpu_numbers.WAIT_S", 0.01)
    now_s = 100.0
    numbers = GpuNumbers(nvidia_expected=True, clock=lambda: now_s)
    with pytest.raises(NoDataError, match="count of NVIDIA"):
        numbers.first_amd()
    now_s += PATIENCE_S
    assert numbers.first_amd() == 0


def test_nobody_waits_for_nvidia_where_it_is_switched_off() -> None:
    assert GpuNumbers(nvidia_expected=False).first_amd() == 0
