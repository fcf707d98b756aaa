"""Which container and pod a process is in, from its cgroup, its mounts, and marks of runtimes.

Inside a container the cgroup namespace hides the container's id; the files that a runtime binds
into it (`/etc/hosts` and its like) still come from a folder with the id in its name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trackd_agent.monitor.readers.surroundings import Scene

#: What a cgroup of a container is called: `docker-<id>.scope`, `<id>`, `crio-<id>.scope`.
_CGROUP_ID = re.compile(r"(?:([a-z][a-z-]*)-)?([0-9a-f]{64})(?:\.scope)?\Z")
#: Folders of runtimes from which files are bound into a container.
_MOUNT_ID = re.compile(
    r"/(docker/containers|overlay-containers|overlay2-containers)/([0-9a-f]{64})/"
)
_POD_UID = re.compile(
    r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})"
)
_LXC = re.compile(r"/lxc(?:\.payload)?[./]([^/]+)")
_RUNTIME_OF_PREFIX = {
    "docker": "docker",
    "cri-containerd": "containerd",
    "nerdctl": "containerd",
    "crio": "cri-o",
    "libpod": "podman",
}
_RUNTIME_OF_MOUNT = {"docker/containers": "docker"}
#: A line of `/run/.containerenv`: `name="value"`.
_CONTAINERENV_LINE = re.compile(r'^(id|image)="([^"]*)"$', re.MULTILINE)
_APPTAINER = ("APPTAINER_CONTAINER", "SINGULARITY_CONTAINER")


def container_of(scene: Scene) -> dict[str, str]:
    """Return `runtime`, `id` and `image` of the container of a process, as far as they show."""
    container: dict[str, str] = {}
    for found in (_by_environ(scene), _by_cgroup(scene), _by_mounts(scene), _by_marks(scene)):
        for name, value in found.items():
            container.setdefault(name, value)
    return container


def pod_of(scene: Scene) -> dict[str, str]:
    """Return `pod`, `namespace`, `node` and `podUid` of the pod of a process.

    Name and node are what the downward API is usually told to set; without it the host name is
    the pod's name.
    """
    environ = scene.environ
    uid = _POD_UID.search(scene.cgroup)
    if not uid and "KUBERNETES_SERVICE_HOST" not in environ:
        return {}
    pod = {
        "pod": environ.get("POD_NAME") or environ.get("HOSTNAME", ""),
        "namespace": environ.get("POD_NAMESPACE") or scene.namespace,
        "node": environ.get("NODE_NAME", ""),
        "podUid": uid[1].replace("_", "-") if uid else "",
    }
    return {name: value for name, value in pod.items() if value}


def _by_environ(scene: Scene) -> dict[str, str]:
    for name in _APPTAINER:
        if image := scene.environ.get(name):
            return {"runtime": name.partition("_")[0].lower(), "image": image}
    return {}


def _by_cgroup(scene: Scene) -> dict[str, str]:
    for line in scene.cgroup.splitlines():
        path = line.split(":", 2)[-1]
        for part in reversed(path.split("/")):
            if match := _CGROUP_ID.match(part):
                runtime = _RUNTIME_OF_PREFIX.get(match[1] or "", "")
                runtime = runtime or ("docker" if "/docker/" in path else "")
                return {"runtime": runtime, "id": match[2]} if runtime else {"id": match[2]}
        if match := _LXC.search(path):
            return {"runtime": "lxc", "id": match[1]}
    return {}


def _by_mounts(scene: Scene) -> dict[str, str]:
    if match := _MOUNT_ID.search(scene.mounts):
        return {"runtime": _RUNTIME_OF_MOUNT.get(match[1], "podman"), "id": match[2]}
    return {}


def _by_marks(scene: Scene) -> dict[str, str]:
    if scene.containerenv is not None:
        return {"runtime": "podman", **dict(_CONTAINERENV_LINE.findall(scene.containerenv))}
    if scene.has_dockerenv:
        return {"runtime": "docker"}
    # systemd and LXC tell their first process, which passes it on.
    if runtime := scene.environ.get("container"):
        return {"runtime": runtime}
    return {}
