"""What `trackd top` makes of a node's readings."""

from __future__ import annotations

from trackd_agent.daemon.node_tables import Rates, headline, plain
from trackd_proto.v1 import admin_pb2, common_pb2

NODE = admin_pb2.ReadNodeResponse(
    time_s=1_000_010.0,
    host="n1",
    values={
        "gpu.10.gpu": 5.0,
        "gpu.2.gpu": 97.4,
        "gpu.2.memoryAllocated": 25.0,
        "gpu.2.memoryAllocatedBytes": 20.0 * 1024**3,
        "gpu.2.temp": 61.0,
        "gpu.2.powerWatts": 350.5,
        "gpu.2:0.memoryAllocated": 9.0,
        "gpu.3.temp/l:other": 40.0,
        "tpu.0.dutyCycle": 12.0,
        "trn.host_total_memory_usage": 5.0,
        "memory_percent": 40.0,
        "proc.memory.availableMB": 2048.0,
        "system.load1": 1.5,
        "disk./.usagePercent": 80.0,
        "disk.in": 30.0,
        "disk.out": 10.0,
        "network.recv": 5000.0,
        "network.sent": 100.0,
    },
    ranks=[
        admin_pb2.RankReading(
            run=common_pb2.RunRef(run_id="r", project="p"),
            label="rank-0",
            pid=42,
            values={"cpu": 88.0, "proc.memory.rssMB": 2048.0, "gpu.process.2.gpu": 97.0},
        ),
        admin_pb2.RankReading(run=common_pb2.RunRef(run_id="r", project="p"), pid=43),
    ],
    collectors=[
        admin_pb2.CollectorStatus(name="amd", state="failing", reason="rocm-smi: no answer"),
        admin_pb2.CollectorStatus(name="disk", state="ok", problems=["disk path /x: gone"]),
        admin_pb2.CollectorStatus(name="ipu", state="no_data", reason="none"),
    ],
    events=[admin_pb2.DeviceEvent(time_s=1.0, name="xid", text="Xid 79", key="gpu.2.xid")],
)


def test_devices_stand_in_order_with_the_columns_that_some_have() -> None:
    lines = plain(NODE, Rates({}, 0)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("DEVICE"))
    assert lines[at].split() == ["DEVICE", "UTIL", "MEM", "USED", "TEMP", "POWER"]
    assert [line.split()[0] for line in lines[at + 1 : at + 6]] == [
        "gpu.2",
        "gpu.2:0",
        "gpu.3",
        "gpu.10",
        "tpu.0",
    ]
    assert lines[at + 1].split() == [
        "gpu.2",
        *("97", "%", "25", "%", "20.0", "GiB", "61", "°C", "350", "W"),
    ]
    assert lines[at + 3].startswith("gpu.3 of other")


def test_ranks_say_what_they_use_and_on_which_gpus() -> None:
    lines = plain(NODE, Rates({}, 0)).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("RUN"))
    assert lines[at + 2].split() == ["p/r", "rank-0", "42", "88", "%", "2.0", "GiB", "2"]
    assert lines[at + 1].split() == ["p/r", "-", "43"]


def test_only_collectors_in_trouble_are_named_and_events_are_told() -> None:
    text = plain(NODE, Rates({}, 0))
    assert "rocm-smi: no answer" in text and "disk path /x: gone" in text
    assert "ipu" not in text
    assert "Xid 79" in text


def test_rates_come_from_two_readings_and_a_counter_that_began_anew_has_none() -> None:
    earlier = admin_pb2.ReadNodeResponse(
        time_s=1_000_000.0, values={"disk.in": 10.0, "disk.out": 10.0, "network.recv": 9000.0}
    )
    text = "\n".join(headline(NODE, Rates.between(earlier, NODE)))
    assert "disk in / out 2.0 MiB/s / 0 B/s" in text
    assert "network" not in text
    assert "network" not in "\n".join(headline(NODE, Rates.between(None, NODE)))
    assert "load 1.50" in text and "memory 40 % used, 2.0 GiB free" in text
