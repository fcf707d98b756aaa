"""One agent a data directory, and a socket that nobody else can put in its place."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from trackd_agent.daemon.instance import AgentLock, CannotStart, answers, listen

if TYPE_CHECKING:
    from pathlib import Path


def test_the_lock_is_held_once_and_names_its_holder(tmp_path: Path) -> None:
    first, second = AgentLock(tmp_path), AgentLock(tmp_path)
    assert first.acquire()
    assert not second.acquire()
    assert second.holder == str(os.getpid())
    assert first.is_in_place()
    first.path.unlink()
    assert not first.is_in_place()


def test_the_lock_is_not_taken_through_a_symbolic_link(tmp_path: Path) -> None:
    lock = AgentLock(tmp_path)
    lock.path.parent.mkdir()
    lock.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart, match="TRACKD_DIR"):
        lock.acquire()


def test_the_socket_is_open_to_its_owner_only(tmp_path: Path) -> None:
    public = listen(tmp_path / "run" / "agent.sock")
    assert public.path.stat().st_mode & 0o777 == 0o600
    assert public.path.parent.stat().st_mode & 0o777 == 0o700
    assert public.private_path().parent.stat().st_mode & 0o777 == 0o700
    assert answers(public.path)
    public.remove()
    assert not public.path.exists()
    public.listener.close()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    first = listen(path)
    first.listener.close()  # as a SIGKILL leaves it
    second = listen(path)
    assert answers(path)
    first.remove()  # not its own any more
    assert path.exists()
    second.listener.close()


def test_a_living_listener_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(CannotStart, match="another data directory"):
            listen(path)
        assert answers(path)


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "run" / "agent.sock"
    path.parent.mkdir(mode=0o700)
    if kind == "file":
        path.write_text("precious")
    else:
        (tmp_path / "precious").write_text("precious")
        path.symlink_to(tmp_path / "precious")
    with pytest.raises(CannotStart, match="no socket"):
        listen(path)
    assert path.read_text() == "precious"


def test_a_folder_that_others_can_change_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(CannotStart, match="other users"):
        listen(folder / "agent.sock")
    folder.chmod(0o700)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(CannotStart, match="symbolic link"):
        listen(tmp_path / "link" / "agent.sock")
