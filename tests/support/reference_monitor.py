"""The reference's own monitor, `wandb-symon` 0.31, asked over gRPC as its client does.

with reference_monitor({"LD_LIBRARY_PATH": folder}) as samples:
    for values in samples(pid=os.getpid(), interval_s=0.5, count=3): ...
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

START_TIMEOUT_S = 20
_FIELD = descriptor_pb2.FieldDescriptorProto
#: The fields of its messages that we use: facts sheet, section 1.
_REQUEST = {
    "interval_seconds": (1, _FIELD.TYPE_DOUBLE, False),
    "pid": (2, _FIELD.TYPE_INT32, False),
    "gpu_device_ids": (3, _FIELD.TYPE_INT32, True),
    "subscriber_id": (4, _FIELD.TYPE_STRING, False),
}
_ANSWER = {"record": (1, _FIELD.TYPE_BYTES, False)}  # parsed as the package's own message


def _message(name: str, fields: dict[str, tuple[int, Any, bool]]) -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package="reference_monitor", syntax="proto3"
    )
    message = file.message_type.add(name=name)
    for field, (number, kind, is_repeated) in fields.items():
        label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
        message.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"reference_monitor.{name}"))


@contextlib.contextmanager
def reference_monitor(
    variables: dict[str, str],
) -> Generator[Callable[..., Iterator[dict[str, Any]]]]:
    """Run it with these environment variables; yields how to subscribe."""
    program = Path(str(importlib.import_module("wandb").__file__)).parent / "bin" / "wandb-symon"
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        process = subprocess.Popen(
            [program, "--portfile", port_file, "--parent-pid", str(os.getpid())],
            env=os.environ | variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # The default name of the authority, an escaped path, is refused.
            options: Any = [("grpc.default_authority", "localhost")]
            with grpc.insecure_channel(_address(port_file), options=options) as channel:
                yield partial(_samples, channel)
        finally:
            process.terminate()
            process.wait()


def _address(port_file: Path) -> str:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not (port_file.exists() and port_file.read_text().strip()):
        assert time.monotonic() < deadline_s, "wandb-symon does not start"
        time.sleep(0.01)
    kind, _, place = port_file.read_text().split()[0].partition("=")
    return f"unix:{place}" if kind == "unix" else f"127.0.0.1:{place}"


def _samples(
    channel: grpc.Channel, pid: int, interval_s: float, count: int, gpu_ids: Sequence[int] = ()
) -> Iterator[dict[str, Any]]:
    request, answer_type = _message("Request", _REQUEST), _message("Answer", _ANSWER)
    subscribe: Any = channel.unary_stream(
        "/wandb_internal.SystemMonitorService/Subscribe",
        request_serializer=request.SerializeToString,
        response_deserializer=answer_type.FromString,
    )
    wish = request(interval_seconds=interval_s, pid=pid, gpu_device_ids=gpu_ids, subscriber_id="s")
    answers = subscribe(wish, timeout=count * interval_s + START_TIMEOUT_S)
    package: Any = importlib.import_module("wandb.proto.wandb_internal_pb2")
    for answer in itertools.islice(answers, count):
        record = package.Record.FromString(answer.record)
        yield {item.key: json.loads(item.value_json) for item in record.stats.item}
    answers.cancel()
