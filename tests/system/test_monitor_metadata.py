"""The environment of a run, end to end: real rank, agent and server, and a metadata service."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.support.agent import agent_environment, running_agent
from tests.support.server import RunningServer, running_server
from tests.system.test_sdk_processes import finished, train

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RUN = """
import trackd
run = trackd.init(project="p")
run.log({"a": 1})
run.finish()
"""
RANK = """
import os, trackd
rank = int(os.environ["RANK"])
settings = {"x_label": f"rank-{rank}", "x_primary": rank == 0}
run = trackd.init(project="p", id="shared", mode="shared", settings=settings)
run.log({"a": rank})
run.finish()
"""
SECRETS = b"join_token: SECRET-JOIN\nca_cert_hash: SECRET-HASH\nteleport_token: SECRET-TELEPORT\n"
_RUN = """query Run($run: String!) {
  project(name: "p", entityName: "local") {
    run(name: $run) { config eventsLineCount files { edges { node { name directUrl } } } }
  }
}"""


@contextmanager
def metadata_service() -> Generator[str]:
    """Answer as CoreWeave's machines are answered; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"org_id: b13ad0\nregion: us-east-04\ncluster_name: cks-wb\n" + SECRETS
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def trackd(environment: dict[str, str], *arguments: str) -> str:
    """Run a verb that must succeed; return what it prints."""
    command = [sys.executable, "-c", "from trackd.cli import main; main()", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def described(server: RunningServer, run: str) -> dict[str, dict[str, Any]]:
    """Return `_wandb.e` of the configuration; empty as long as the server has none."""
    project = server.graphql(_RUN, {"run": run})["project"]
    found = project and project["run"]
    config: dict[str, Any] = json.loads(found["config"] or "{}") if found else {}
    return config.get("_wandb", {}).get("value", {}).get("e", {})


def environments(server: RunningServer, run: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return `_wandb.e` of the configuration, and the metadata file, as the server has them."""
    kept = described(server, run)
    found = server.graphql(_RUN, {"run": run})["project"]["run"]
    urls = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in found["files"]["edges"]}
    if "wandb-metadata.json" not in urls:
        return kept, {}
    with server.client() as client:
        return kept, client.get(urls["wandb-metadata.json"]).json()


async def test_what_process_and_agent_know_is_in_configuration_and_file(tmp_path: Path) -> None:
    firmware = tmp_path / "sys" / "class" / "dmi" / "id"
    firmware.mkdir(parents=True)
    (firmware / "sys_vendor").write_text("Amazon EC2\n")
    (firmware / "product_name").write_text("p5.48xlarge\n")
    options = ("--coreweave-organization", "cw-1")
    async with running_server(tmp_path, options=options) as server:
        with metadata_service() as address:
            sys_root = str(tmp_path / "sys")
            async with running_agent(tmp_path, TRACKD_MONITOR__SYS_ROOT=sys_root) as agent:
                place = {
                    **agent.environment,
                    "TRACKD_BASE_URL": server.address,
                    "TRACKD_API_KEY": server.key,
                    "WANDB_RUN_ID": "r",
                    "SLURM_JOB_ID": "7",
                    "RUNPOD_POD_ID": "pod-3",
                    "WANDB_X_STATS_COREWEAVE_METADATA_BASE_URL": address,
                    "WANDB_X_STATS_CPU_COUNT": "3",
                    "WANDB_X_STATS_GPU_TYPE": "mine",
                }
                finished(train(tmp_path, RUN, place))
                assert await agent.flush()
                kept, file = environments(server, "r")
                logged = agent.log
    ((writer_id, environment),) = kept.items()
    assert environment == file
    assert environment["writerId"] == writer_id
    assert environment["slurm"] == {"job_id": "7"}
    assert environment["platform"] == {"name": "runpod", "job": "pod-3"}
    assert environment["cloud"] == {"provider": "aws", "instanceType": "p5.48xlarge"}
    assert environment["coreweave"] == {
        "clusterName": "cks-wb",
        "orgId": "b13ad0",
        "region": "us-east-04",
    }
    assert (environment["cpu_count"], environment["gpu"]) == (3, "mine")
    assert int(environment["memory"]["total"]) > 0
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in everything if b"SECRET-" in path.read_bytes()]
    assert "SECRET-" not in logged


async def test_an_offline_run_is_described_where_it_ran_and_not_where_it_is_uploaded(
    tmp_path: Path,
) -> None:
    firmware = tmp_path / "sys" / "class" / "dmi" / "id"
    firmware.mkdir(parents=True)
    (firmware / "sys_vendor").write_text("Hetzner\n")
    sys_root = str(tmp_path / "sys")
    options = ("--coreweave-organization", "cw-1")
    async with running_server(tmp_path, options=options) as server:
        with metadata_service() as address:
            place = {
                "TRACKD_BASE_URL": server.address,
                "TRACKD_API_KEY": server.key,
                "WANDB_X_STATS_COREWEAVE_METADATA_BASE_URL": address,
                "WANDB_RUN_ID": "r",
                "WANDB_MODE": "offline",
            }
            async with running_agent(tmp_path, TRACKD_MONITOR__SYS_ROOT=sys_root) as agent:
                finished(train(tmp_path, RUN, {**agent.environment, **place}))
                (folder,) = (tmp_path / "trackd").glob("offline-run-*")
                assert not (folder / "files" / "wandb-metadata.json").exists()
            elsewhere = {**agent_environment(tmp_path / "elsewhere"), **place}
            exported = json.loads(trackd(elsewhere, "export", "--json", "--whole", str(folder)))
            assert "environments" not in trackd(elsewhere, "export", "--json", str(folder))
            trackd(elsewhere, "sync", str(folder))
            kept, file = environments(server, "r")
    assert file["cloud"] == {"provider": "hetzner"}
    assert "coreweave" not in file
    assert exported["environments"] == kept


async def test_settings_say_who_describes_the_machine(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, running_agent(tmp_path) as agent:
        place = {
            **agent.environment,
            "TRACKD_BASE_URL": server.address,
            "TRACKD_API_KEY": server.key,
        }
        for name in ("META", "MACHINE_INFO", "STATS"):
            without = {"WANDB_RUN_ID": name, f"WANDB_X_DISABLE_{name}": "true"}
            finished(train(tmp_path, RUN, {**place, **without}))
        for rank in ("0", "1"):
            finished(train(tmp_path, RANK, {**place, "RANK": rank}))
        assert await agent.flush()
        sampled = {
            name: server.graphql(_RUN, {"run": name})["project"]["run"]["eventsLineCount"] > 0
            for name in ("META", "MACHINE_INFO", "STATS")
        }
        assert sampled == {"META": True, "MACHINE_INFO": False, "STATS": False}
        assert environments(server, "META") == ({}, {})
        assert environments(server, "MACHINE_INFO") == ({}, {})
        assert environments(server, "STATS")[1]["cpu_count"] > 0
        (one,) = environments(server, "shared")[0].values()
        assert one["host"]
