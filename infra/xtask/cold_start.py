"""How long each packaged function takes from its process's start to its first ask for an event, and what memory it has then.

`cold_start.py <folder of the packages>`. It fails where a function does not start; the figures are for people to compare.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

TIMES = 21
# What every function reads at its start, as the template sets it. Nobody is called at these addresses.
ENVIRONMENT = {
    "AWS_LAMBDA_FUNCTION_NAME": "measured",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "measured",
    "AWS_SECRET_ACCESS_KEY": "measured",
    "BURSAR_TABLE": "bursar",
    "BURSAR_ORIGIN": "https://credit.example.edu",
    "BURSAR_MAIL_FROM": "bursar@example.edu",
    "BURSAR_MAIL_EVENTS": "bursar",
    "BURSAR_ADMINS": "admin@example.edu",
    "BURSAR_MANAGEMENT_KEY_SECRET": "bursar/management-key",
    "BURSAR_INSTITUTION": "Example University",
}


def start(program):
    """Milliseconds and MiB of one start, before a Runtime API that has no event."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        api = "127.0.0.1:%d" % server.getsockname()[1]
        begun = time.perf_counter()
        process = subprocess.Popen([program], env={**ENVIRONMENT, "AWS_LAMBDA_RUNTIME_API": api}, stdout=subprocess.DEVNULL)
        try:
            connection, _ = server.accept()
            asked = connection.recv(40)
            took = (time.perf_counter() - begun) * 1e3
            assert asked.startswith(b"GET /2018-06-01/runtime/invocation/next"), f"it asked for {asked}"
            pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
            return took, pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        finally:
            process.kill()
            process.wait()


for program in sorted(Path(sys.argv[1]).glob("*/bootstrap")):
    times, memory = zip(*(start(program) for _ in range(TIMES)))
    middle, size = statistics.median(times), program.stat().st_size / 1e6
    print(f"{program.parent.name:16} {middle:5.1f} ms ({min(times):.1f}–{max(times):.1f})  {statistics.median(memory):5.1f} MiB resident  {size:5.1f} MB")
