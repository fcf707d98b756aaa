"""What a run is made from: git state without git, the environment, the files of a run."""

from __future__ import annotations

import importlib.metadata
import subprocess
from typing import TYPE_CHECKING

import pytest

from trackd.run_files import environment
from trackd.run_files.git_state import Repository, without_credentials
from trackd.run_files.provenance import Provenance, installed_packages
from trackd.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

GIT = ["git", "-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, `main.py` and `sub/lib.py`, as the current folder."""
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    for name in ("main.py", "sub/lib.py"):
        (folder / name).write_text("x = 1\n")
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    monkeypatch.chdir(folder)
    return folder


def found(folder: Path) -> Repository:
    repository = Repository.find(folder)
    assert repository is not None
    return repository


def test_the_commit_is_read_in_every_state_of_a_repository(work: Path, tmp_path: Path) -> None:
    first = git(work, "rev-parse", "HEAD")
    assert found(work / "sub").root == work
    assert found(work).commit() == first
    git(work, "pack-refs", "--all")
    assert found(work).commit() == first
    git(work, "checkout", "-q", "--detach")
    assert found(work).commit() == first
    git(work, "worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    git(tmp_path / "linked", "commit", "-q", "--allow-empty", "-m", "second")
    linked = found(tmp_path / "linked")
    assert linked.root == tmp_path / "linked"
    assert linked.commit() == git(tmp_path / "linked", "rev-parse", "HEAD") != first
    assert found(work).commit() == first


def test_a_repository_without_commits_has_none(tmp_path: Path) -> None:
    assert Repository.find(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert found(tmp_path).commit() is None
    assert found(tmp_path).remote_url("origin") is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@example.com:8443/a/b.git", "https://example.com:8443/a/b.git"),
        ("https://example.com/a/b.git", "https://example.com/a/b.git"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("../elsewhere", "../elsewhere"),
    ],
)
def test_the_address_of_a_remote_holds_no_password(work: Path, url: str, shown: str) -> None:
    git(work, "remote", "add", "other", "https://example.com/no.git")
    git(work, "remote", "add", "origin", url)
    assert found(work).remote_url("origin") == without_credentials(url) == shown


def test_settings_are_completed_from_the_machine(work: Path) -> None:
    settings = Settings(program="sub/lib.py")
    environment.complete(settings)
    assert settings.program_relpath == "sub/lib.py"
    assert settings.program_abspath == str(work / "sub" / "lib.py")
    assert (settings.git_root, settings.git_commit) == (str(work), git(work, "rev-parse", "HEAD"))
    told = environment.describe(settings)
    assert told["git"] == {"commit": settings.git_commit}
    assert int(told["memory"]["total"]) > 1 << 20 and told["cpu_count"] >= 1
    assert told["program"] == told["codePath"] == "sub/lib.py"


def test_what_was_given_stays(work: Path) -> None:
    settings = Settings(git_commit="abc", program_relpath="x.py", host="h", program="main.py")
    environment.complete(settings)
    assert (settings.git_commit, settings.program_relpath, settings.host) == ("abc", "x.py", "h")


@pytest.mark.parametrize("name", ["x_disable_meta", "x_disable_machine_info"])
def test_nothing_is_told_where_nothing_is_wanted(name: str) -> None:
    assert environment.describe(Settings(**{name: True})) == {}
    assert environment.describe(Settings(x_primary=False)) == {}


def made(work: Path, **settings: object) -> dict[str, str]:
    """Return the files of a run of `main.py` by name, as far as they were announced."""
    chosen = Settings(program="main.py", x_save_requirements=False, **settings)
    environment.complete(chosen)
    files = work.parent / "files"
    files.mkdir()
    announced: list[str] = []
    provenance = Provenance(files, chosen, announced.append)
    provenance.start()
    provenance.wait()
    return {name: (files / name).read_text() for name in announced}


def test_code_and_patches_are_kept_when_wanted(work: Path) -> None:
    bare = work.parent / "bare"
    git(work, "init", "-q", "--bare", str(bare))
    git(work, "remote", "add", "origin", str(bare))
    git(work, "push", "-q", "-u", "origin", "trunk")
    published = git(work, "rev-parse", "HEAD")
    (work / "main.py").write_text("x = 2\n")
    git(work, "commit", "-q", "-am", "second")
    (work / "sub" / "lib.py").write_text("x = 3\n")
    kept = made(work, save_code=True)
    assert set(kept) == {"code/main.py", "diff.patch", f"diff_{published}.patch"}
    assert kept["code/main.py"] == "x = 2\n"
    assert "+x = 3" in kept["diff.patch"] and "+x = 2" not in kept["diff.patch"]
    assert "+x = 2" in kept[f"diff_{published}.patch"]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"save_code": True, "disable_code": True},
        {"save_code": True, "x_primary": False},
        {"save_code": True, "x_disable_machine_info": True},
    ],
)
def test_no_code_is_kept_otherwise(work: Path, settings: dict[str, object]) -> None:
    (work / "main.py").write_text("x = 2\n")
    assert made(work, **settings) == {}


def test_without_git_only_the_script_is_kept(work: Path) -> None:
    (work / "main.py").write_text("x = 2\n")
    assert set(made(work, save_code=True, disable_git=True)) == {"code/main.py"}


def test_the_list_of_packages_is_that_of_importlib() -> None:
    known = {
        f"{d.metadata['Name']}=={d.version}".lower().replace("_", "-")
        for d in importlib.metadata.distributions()
    }
    ours = {line.lower().replace("_", "-") for line in installed_packages()}
    assert ours <= known and len(known - ours) < 3  # the same package twice on the path
