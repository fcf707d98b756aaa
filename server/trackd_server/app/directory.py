"""The server's directory: lock, API key, address file. Problems here end the start (status 2)."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trackd_proto.wandb_http import MIN_API_KEY_CHARS

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from trackd_server.app.config import ServerConfig


class StartError(Exception):
    """The server cannot start; `code` is stable, the message says what to change."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def held_directory(config: ServerConfig) -> Generator[None]:
    """Create the directory if need be and hold its lock; one server a directory."""
    try:
        config.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(config.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(config.directory, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "unknown"
            raise StartError(
                "DIRECTORY_IN_USE",
                f"{config.directory} is in use by another trackd server (process {holder}): "
                "stop that one, or give this one another --dir.",
            ) from error
        _write_holder(config, descriptor)
        yield
    finally:
        os.close(descriptor)


def ensure_api_key(config: ServerConfig) -> str:
    """Return the API key; made at the first start, readable by the user only."""
    try:
        key = config.api_key.read_text().strip()
    except FileNotFoundError:
        key = ""
    except OSError as error:
        raise _unusable(config.api_key, error) from error
    if len(key) >= MIN_API_KEY_CHARS:
        return key
    if key:
        raise StartError(
            "INVALID_API_KEY",
            f"The key in {config.api_key} has {len(key)} characters, clients want "
            f"{MIN_API_KEY_CHARS} or more: put a longer one there, or remove the file.",
        )
    key = secrets.token_hex(20)
    write_private(config.api_key, key + "\n")
    return key


def write_private(path: Path, text: str) -> None:
    """Write a file that only the user can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unusable(path, error) from error


def listen(config: ServerConfig) -> socket.socket:
    """Return the listening socket."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
        listener.listen(512)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StartError(
            "ADDRESS_UNUSABLE",
            f"Cannot listen on {config.host} port {config.port}: {error}. "
            "Choose another --port, or stop the program that has it.",
        ) from error
    listener.setblocking(False)
    return listener


def _write_holder(config: ServerConfig, descriptor: int) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        raise _unusable(config.lock, error) from error


def _unusable(path: Path, error: OSError) -> StartError:
    return StartError(
        "DIRECTORY_UNUSABLE",
        f"Cannot use {path}: {error.strerror or error}. Give --dir a directory that can be "
        "written.",
    )
