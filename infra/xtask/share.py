"""The share of a processor that Lambda gives a memory, and services behind TLS.

`share.py <MB> <program> [<word>…]` runs a program under that share, with what the environment names as its services behind TLS.
"""

import asyncio
import multiprocessing
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

# What a function gets of a processor for its memory in MB.
SHARES = {512: 512 / 1769, 1024: 1024 / 1769, 1769: 1.0}
# Lambda counts a share in periods of this length.
PERIOD_US = 20_000
BUNDLE, SYSTEM = "pki/tls/certs/ca-bundle.crt", "ssl/certs/ca-certificates.crt"
SERVICES = {"dynamodb": "AWS_ENDPOINT_URL_DYNAMODB", "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER", "ses": "AWS_ENDPOINT_URL_SES", "provider": "OPENROUTER_BASE_URL"}


def main():
    memory, *command = sys.argv[1:]
    share = Share()
    try:
        with tempfile.TemporaryDirectory() as folder:
            _, roots = trust(Path(folder))
            services = {variable: behind_tls(os.environ[variable], Path(folder)) for variable in SERVICES.values() if variable in os.environ}
            process = subprocess.Popen(command, env=os.environ | roots | services)
            held = share.hold(process, SHARES[int(memory)])
            process.wait()
            if held:
                held.kill()
                held.wait()
    finally:
        share.close()
    sys.exit(process.returncode)


def trust(folder):
    """Makes a root that all below trust, beside the system's, where they look for roots, and a certificate by it."""
    shutil.which("openssl") or sys.exit("this needs openssl")
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)
    run("req", "-x509", "-newkey", "rsa:2048", "-noenc", "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root", "-days", "2")
    run("req", "-newkey", "rsa:2048", "-noenc", "-keyout", "key.pem", "-out", "asked.pem", "-subj", "/CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    run("x509", "-req", "-in", "asked.pem", "-CA", "root.pem", "-CAkey", "root.key", "-out", "cert.pem", "-days", "2", "-extfile", "names")
    roots = Path("/etc", SYSTEM).read_text() + (folder / "root.pem").read_text()
    for place in (BUNDLE, SYSTEM):
        path = folder / "etc" / place
        path.parent.mkdir(parents=True)
        path.write_text(roots)
    # What is mounted over /etc is seen by this process and its children alone: main() began in a namespace, if one can be had.
    if "BURSAR_OWN_MOUNTS" in os.environ:
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={folder / 'etc'}:/etc", "/etc"], check=True)
        return f"/etc/{BUNDLE}", {}
    return "SSL_CERT_FILE", {"SSL_CERT_FILE": str(folder / "etc" / BUNDLE)}


class Share:
    """Holds a process to a part of a processor: by the quota of a control group, or else by cpulimit."""

    V1 = [Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct")]
    V2 = Path("/sys/fs/cgroup")

    def __init__(self):
        self.group = None
        try:
            self.version, root = next(((1, root) for root in self.V1 if (root / "cpu.shares").exists() or (root / "tasks").exists()), (2, self.V2))
            if self.version == 2:
                # What is no file of the kernel's would take any words.
                if "cpu" not in (root / "cgroup.controllers").read_text().split():
                    raise OSError("control groups have no processor")
                (root / "cgroup.subtree_control").write_text("+cpu")
            self.group = root / f"bursar-share-{os.getpid()}"
            self.group.mkdir()
            self.set(1.0)
            self.how = f"the share is a quota of cgroup v{self.version}"
        except OSError as why:
            self.close()
            shutil.which("cpulimit") or sys.exit(f"there is nothing to hold a process to a share: no quota of a control group ({why}), and no cpulimit, which Debian has")
            self.how = f"the share is held by cpulimit, more coarsely than by a quota, which cannot be had ({why})"

    def set(self, part):
        quota = int(PERIOD_US * part)
        if self.version == 1:
            (self.group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (self.group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (self.group / "cpu.max").write_text(f"{quota} {PERIOD_US}")

    def hold(self, process, part):
        """Returns what is to be ended with it."""
        if self.group is None:
            return subprocess.Popen(["cpulimit", "-z", "-l", str(round(part * 100)), "-p", str(process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.set(part)
        (self.group / "cgroup.procs").write_text(str(process.pid))

    def close(self):
        if self.group and self.group.exists():
            self.group.rmdir()
        self.group = None


def behind_tls(url, folder):
    """The URL at which what this one serves is served by TLS, from a process of its own."""
    to = urllib.parse.urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    # Else each answer waits for what Linux is in no hurry to acknowledge.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    multiprocessing.Process(target=lambda: asyncio.run(forward(listener, context, to)), daemon=True).start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}{to.path}"


async def forward(listener, context, to):
    # What is there answers to no other name.
    host = f"host: {to.netloc}".encode()

    async def pass_on(source, sink):
        try:
            while part := await source.read(1 << 16):
                sink.write(re.sub(rb"(?m)^host: \S+", host, part, count=1))
                await sink.drain()
        except OSError:
            pass
        sink.close()

    async def connected(reader, writer):
        there = await asyncio.open_connection(to.hostname, to.port)
        await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with await asyncio.start_server(connected, sock=listener, ssl=context) as server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
