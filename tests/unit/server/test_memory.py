"""What the serving process keeps of memory that it freed."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Threads of which one works at a time, on blocks as bodies bring them: all are freed, while small
#: pieces between them stay.
WORK = """
import threading
from trackd_server.app import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

memory.share_one_heap()
bytes(4 << 20)  # from here on glibc puts pieces of this size into heaps
before, lasting, one_by_one = resident(), [], threading.Lock()
everyone = threading.Barrier(8)

def work():
    everyone.wait()
    with one_by_one:
        blocks = []
        for _ in range(16):
            blocks.append(b"x" * (1 << 20))
            lasting.append(bytearray(2000))
        del blocks
    everyone.wait()

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries have other ways")
def test_what_one_thread_freed_is_used_by_the_next() -> None:
    """Eight heaps would keep 16 MiB each."""
    done = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, check=True, timeout=240
    )
    assert int(done.stdout) < 48 * 2**20
