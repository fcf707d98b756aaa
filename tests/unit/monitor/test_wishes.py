"""From the settings of a rank to what it wants of the monitor; and the buffer of its values."""

from __future__ import annotations

from typing import Any

import pytest

from trackd_agent.monitor.buffer import MAX_KEYS, MAX_VALUES, MetricBuffer
from trackd_agent.monitor.subject import OpenMetricsWish, Subject
from trackd_agent.monitor.wishes import RankFacts, subject_of

RANK = RankFacts(key="a", pid=4711)


def test_a_rank_without_settings_wants_what_everybody_wants() -> None:
    assert subject_of(RANK, {}, 15) == Subject("a", 4711)


def test_every_setting_arrives() -> None:
    rank = RankFacts(
        key="a",
        pid=4711,
        label="r1",
        environment={"LOCAL_RANK": "3"},
        scrape_headers={"Authorization": "secret-word"},
    )
    settings = {
        "x_stats_sampling_interval": 2,
        "x_stats_disk_paths": ["/", "/data"],
        "x_stats_track_process_tree": True,
        "x_stats_no_cgroup": True,
        "x_stats_gpu_device_ids": [0, 2],
        "x_stats_open_metrics_endpoints": {"node": "http://127.0.0.1:9100/metrics"},
        "x_stats_open_metrics_filters": {"node.*": {"job": "a"}},
        "x_stats_dcgm_exporter": "http://127.0.0.1:9400/metrics",
        "x_stats_neuron_monitor_config_path": "/etc/neuron.json",
        "x_stats_self_usage": True,
        "x_stats_host_details": True,
    }
    subject = subject_of(rank, settings, 15)
    assert subject == Subject(
        key="a",
        pid=4711,
        interval_s=2,
        disk_paths=("/", "/data"),
        track_process_tree=True,
        use_cgroup=False,
        gpu_device_ids=(0, 2),
        label="r1",
        open_metrics=OpenMetricsWish(
            {"node": "http://127.0.0.1:9100/metrics"},
            {"node.*": {"job": "a"}},
            {"Authorization": "secret-word"},
        ),
        dcgm_exporter="http://127.0.0.1:9400/metrics",
        neuron_config_path="/etc/neuron.json",
        self_usage=True,
        host_details=True,
        environment={"LOCAL_RANK": "3"},
    )
    assert "secret-word" not in repr(subject)
    assert "secret-word" not in repr(rank)


@pytest.mark.parametrize("odd", ["x", -1, None, {}, [], float("nan"), True], ids=repr)
def test_what_is_no_value_of_its_kind_counts_as_not_given(odd: Any) -> None:
    names = [
        "x_stats_sampling_interval",
        "x_stats_disk_paths",
        "x_stats_pid",
        "x_stats_open_metrics_endpoints",
    ]
    assert subject_of(RANK, dict.fromkeys(names, odd), 15) == Subject("a", 4711)


def test_a_rank_that_names_another_process_is_asked_for_that() -> None:
    assert subject_of(RANK, {"x_stats_pid": 99}, 15).pid == 99


def test_a_rank_in_a_container_that_names_itself_is_found() -> None:
    rank = RankFacts(key="a", pid=4711, own_pid=7)
    assert subject_of(rank, {"x_stats_pid": 7}, 15).pid == 4711


def test_no_other_process_is_taken_for_a_rank_that_is_not_visible_from_here() -> None:
    rank = RankFacts(key="a", pid=0, own_pid=7)
    assert subject_of(rank, {}, 15).pid == 0
    assert subject_of(rank, {"x_stats_pid": 7}, 15).pid == 0


def test_no_gpu_wanted_is_not_the_same_as_all() -> None:
    assert subject_of(RANK, {"x_stats_gpu_device_ids": []}, 15).gpu_device_ids == ()
    assert subject_of(RANK, {"x_stats_gpu_device_ids": "0"}, 15).gpu_device_ids is None


def test_the_buffer_keeps_the_last_values_of_each_key() -> None:
    buffer = MetricBuffer(3)
    for number in range(10):
        buffer.add(100.0 + number, {"cpu": float(number)})
    buffer.add(200.0, {"late": 1.0})
    assert buffer.read() == {"cpu": ([107, 108, 109], [7, 8, 9]), "late": ([200], [1])}


def test_no_buffer_is_kept_unless_asked() -> None:
    buffer = MetricBuffer(0)
    buffer.add(1.0, {"cpu": 1.0})
    assert buffer.read() == {}


def test_all_values_are_those_that_there_is_room_for() -> None:
    buffer = MetricBuffer(-1)
    keys = [f"k{number}" for number in range(MAX_KEYS + 7)]
    for number in range(100):
        buffer.add(float(number), dict.fromkeys(keys, float(number)))
    kept = buffer.read()
    assert len(kept) == MAX_KEYS
    assert sum(len(times) for times, _ in kept.values()) <= MAX_VALUES
    assert kept["k0"][1][-1] == 99
