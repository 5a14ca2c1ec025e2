"""Runs the runbook's blocks in a real shell, whose programs are stand-ins: they hand each command to this process and send nothing.

So the shell itself sees to quotes, loops and functions, and a variable that nobody set ends the block.
"""

import json
import os
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

# What the runbook leaves to the reader, who sets it before: nothing runs with an example.
SAID = {
    "MAIL_DOMAIN": "cs.example.edu",
    "ADMIN": "admin@cs.example.edu",
    "DOMAIN": "credit.example.edu",
    "OPERATOR": "operator@cs.example.edu",
    "QUOTA_CODE": "L-12345678",
    "MAILS": "5000",
    "COPIES": "1000",
    "STUDENTS": "200",
    "VERSION": "v0.1.0",
    "RESTORE_TO": "2026-11-22T08:00:00Z",
    "OLD_TABLE": "bursar-table-old",
}

# Programs that stand in, and those that really run, since they only touch the folder they run in.
STAND_INS = ["aws", "sam", "cargo", "git"]
REAL = ["cat", "date", "rm"]


class Shell:
    """`told(words, folder)` gets each command, and returns what it prints and its exit code."""

    def __init__(self, told, root):
        self.folder = tempfile.TemporaryDirectory()
        here = Path(self.folder.name)
        self.work, self.programs, self.address = here / "work", here / "programs", str(here / "socket")
        self.programs.mkdir()
        self.work.mkdir()
        for name in ("infra", "template.yaml", "target"):
            (self.work / name).symlink_to(root / name)
        for name in STAND_INS:
            (self.programs / name).write_text(f"#!{sys.executable} -IS\n{STAND_IN.format(name=name, address=self.address)}")
            (self.programs / name).chmod(0o755)
        for name in REAL:
            (self.programs / name).symlink_to(shutil.which(name))
        self.server = socketserver.ThreadingUnixStreamServer(self.address, handler(told))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, commands):
        """What the shell has against the commands, or an empty text."""
        # Of a pipe each part counts, and what is not set is a mistake.
        ran = subprocess.run(
            [shutil.which("bash"), "-euo", "pipefail", "-c", commands],
            cwd=self.work,
            env={"PATH": str(self.programs), "HOME": str(self.work), **SAID},
            # What a person types.
            input="typed\n",
            capture_output=True,
            text=True,
            check=False,
        )
        left = sorted(path.name for path in self.work.iterdir() if not path.is_symlink())
        for name in left:
            os.remove(self.work / name)
        if ran.returncode:
            return ran.stderr.strip() or f"it ended with {ran.returncode}"
        return f"it leaves {', '.join(left)} behind" if left else ""

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()


def handler(told):
    one_by_one = threading.Lock()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            asked = json.loads(self.rfile.readline())
            with one_by_one:
                out, code = told(asked["words"], asked["folder"])
            self.wfile.write(json.dumps({"out": out, "code": code}).encode())

    return Handler


# No import but of the standard library, so that each start is quick.
STAND_IN = '''import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
line.sendall(json.dumps({{"words": [{name!r}, *sys.argv[1:]], "folder": os.getcwd()}}).encode() + b"\\n")
line.shutdown(socket.SHUT_WR)
answer = json.loads(line.makefile().read())
sys.stdout.write(answer["out"])
sys.exit(answer["code"])
'''
