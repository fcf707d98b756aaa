"""What the serving process keeps of memory that it freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Blocks as bodies bring them, freed by threads while small pieces between them stay.
WORK = """
import sys, threading
from trackd_server.app import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

if sys.argv[1] == "given back":
    memory.give_back_freed()
bytes(4 << 20)  # from here on glibc would not map pieces of this size any more
before, lasting = resident(), []

def work():
    blocks = []
    for _ in range(16):
        blocks.append(b"x" * (1 << 20))
        lasting.append(bytearray(2000))

for _ in range(4):
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(resident() - before)
"""


def kept(how: str) -> int:
    """Return the bytes that a process holds after such work."""
    command = [sys.executable, "-c", WORK, how]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have other ways")
def test_freed_blocks_do_not_stay_between_small_pieces() -> None:
    """A server does not grow with each version that comes."""
    assert kept("given back") < 4 * 2**20
