"""How long each packaged function takes to its first answer, and to one when it is warm, under the share of a processor that Lambda gives
its memory, with the table, the secret, the mail and the provider behind TLS.

`cold_start.py <folder of the packages> <ready line of a bursar, for its stand-ins>`. It fails where something does not start or answer, and
where nothing can hold a process to a share; the figures are for people to compare.

Lambda gives the whole processor while a function starts, so the share begins with the first event. What is not in it: the start of the
microVM, the network, and the time of the real services.
"""

import json
import os
import queue
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True

from deploy_test import Browser  # noqa: E402
from machine_test import address, upload  # noqa: E402
from provider_sdk import direct  # noqa: E402
from share import SERVICES, SHARES, Share, behind_tls, trust  # noqa: E402

ADMIN, PROGRAMME = "a@example.edu", "/console/programmes/cs-pilot"
COLD, WARM = 5, 3
# arm64 in us-east-1: dollars for a GB of memory for a second. A request costs the same at each memory.
GB_SECOND = 0.0000133334
# Invocations in the month in which everybody claims, for 200 and for 50,000 students, assumed: a student comes to twenty pages and claims
# once, five mails and as many changes of the stream go out for each, 250 programmes have a hundred pages a month; and the schedules.
MONTH = {
    "claim /my": (200 * 20, 50_000 * 20),
    "claim reveal": (200, 50_000),
    "console": (100, 25_000),
    "mail": (43_800 + 1_000, 43_800 + 250_000),
    "threshold-alerts": (730 + 1_000, 730 + 250_000),
    "usage-sync": (30, 30),
}


def main():
    packages, ready = Path(sys.argv[1]), json.loads(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        where, roots = trust(Path(folder))
        share = Share()
        try:
            measured(packages, ready, Path(folder), share, where, roots)
        finally:
            share.close()


def measured(packages, ready, folder, share, where, roots):
    print(f"cold-start: {share.how}; roots in {where}", flush=True)
    world = World(ready, folder, roots, len(SHARES) * COLD * (1 + WARM) + 1)
    print("| event | memory | start, ms | first answer, ms | processor, ms | warm, ms | processor, ms | resident, MiB | 200, 50,000 students, $ |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for event in MONTH:
        program = packages / event.split()[0] / "bootstrap"
        for memory, part in SHARES.items():
            world.measure(event, program, memory, share, part)
    for event in MONTH:
        program = packages / event.split()[0] / "bootstrap"
        print(f"{event}: to its first answer it opened {world.opened(event, program)} files; {program.stat().st_size / 1e6:.1f} MB")


class World:
    """The stand-ins behind TLS, and people who are signed in."""

    def __init__(self, ready, folder, roots, students):
        self.folder, self.web = folder, ready["web"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": "measured",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_REGION": ready["region"],
            "AWS_ACCESS_KEY_ID": "measured",
            "AWS_SECRET_ACCESS_KEY": "measured",
            "BURSAR_TABLE": ready["table"],
            "BURSAR_ORIGIN": self.web,
            "BURSAR_MAIL_FROM": "bursar@example.edu",
            "BURSAR_MAIL_EVENTS": "bursar",
            "BURSAR_ADMINS": ADMIN,
            "BURSAR_MANAGEMENT_KEY_SECRET": ready["secret"],
            "BURSAR_INSTITUTION": "Example University",
            **roots,
            **{variable: behind_tls(ready[service], folder) for service, variable in SERVICES.items()},
        }
        at = urllib.parse.urlsplit(self.web).netloc
        self.admin, self.inbox, self.invited = Browser(at, at), ready["inbox"], 0
        self.sign_in({ADMIN: self.admin})
        self.programme(students)
        self.students = {address(number): Browser(at, at) for number in range(students)}
        self.sign_in(self.students)
        self.unclaimed = list(self.students.values())
        last = self.invite_another()
        while not any(mail["to"][0] == last for mail in direct(f"{self.inbox}/mails")):
            time.sleep(0.2)
        self.drained_at = time.monotonic()

    def sign_in(self, browsers):
        for who, browser in browsers.items():
            browser.get("/")
            browser.submit("/link", 202, address=who)
        links, begun = {}, time.monotonic()
        while not links.keys() >= browsers.keys():
            assert time.monotonic() - begun < 120, f"{len(browsers.keys() - links.keys())} links have not come"
            time.sleep(0.2)
            found = ((mail["to"][0], re.search(r"/c/[^\s\"<]+", json.dumps(mail))) for mail in direct(f"{self.inbox}/mails"))
            links = {who: link.group().rstrip("\\") for who, link in found if link}
        for who, browser in browsers.items():
            path = re.match(r"/c/[\w-]+", links[who]).group()
            browser.get(path)
            browser.submit(path, 303)

    def programme(self, students):
        year = date.today().year
        term = {"starts_on": f"{year}-01-01", "ends_on": f"{year + 1}-12-31", "timezone": "UTC"}
        self.admin.get("/console/programmes/new")
        self.admin.submit("/console/programmes", 303, name="CS pilot", cap_usd="1", budget_usd=str(3 * students), **term)
        self.invite([address(number) for number in range(students)])
        while f'data-people="{students}"' not in (self.admin.get(PROGRAMME) and self.admin.body):
            time.sleep(0.5)

    def invite(self, people):
        self.admin.get(f"{PROGRAMME}/roster")
        upload(self.admin, f"{PROGRAMME}/roster", "\n".join(["email", *people, ""]))
        self.admin.submit(f"{PROGRAMME}/roster/apply", 303)

    def invite_another(self):
        self.invited += 1
        self.invite([invited := f"invited{self.invited}@example.edu"])
        return invited

    def event(self, name):
        """An event, and what the answer must have."""
        match name:
            case "claim /my":
                return request(self.unclaimed[0], "GET", "/my"), '"statusCode":200'
            case "claim reveal":
                student = self.unclaimed.pop()
                student.get("/my")
                path = "/my/cs-pilot/reveal"
                return request(student, "POST", path, urllib.parse.urlencode(student.fields(path))), '"statusCode":200'
            case "console":
                return request(self.admin, "GET", PROGRAMME), '"statusCode":200'
            case "mail":
                # The bundle's own drain, each minute, would send it.
                if (time.monotonic() - self.drained_at) % 60 > 55:
                    time.sleep(10)
                self.invite_another()
                return {"task": "drain"}, '"sent":1'
            case "threshold-alerts":
                return {"task": "watch"}, ""
            case "usage-sync":
                return {}, '"complete":true'

    def measure(self, event, program, memory, share, part):
        starts, first, first_cpu, warm, warm_cpu, resident = [], [], [], [], [], []
        for _ in range(COLD):
            with Instance([program], self.environment, memory) as instance:
                starts.append(instance.ready())
                held = share.hold(instance.process, part)
                for number in range(1 + WARM):
                    # What it takes is made by the bundle's own pages.
                    took, cpu = instance.answer(*self.event(event))
                    (warm if number else first).append(took)
                    (warm_cpu if number else first_cpu).append(cpu)
                resident.append(instance.resident())
            if held:
                held.kill()
                held.wait()
        middle = [statistics.median(numbers) for numbers in (starts, first, first_cpu, warm, warm_cpu, resident)]
        dollars = ", ".join(f"{number * memory / 1024 * middle[3] / 1e3 * GB_SECOND:.3f}" for number in MONTH[event])
        start, first_ms, first_cpu_ms, warm_ms, warm_cpu_ms, mib = middle
        print(f"| {event} | {memory} MB | {start:.1f} | {first_ms:.0f} ({min(first):.0f}–{max(first):.0f}) | {first_cpu_ms:.1f} | {warm_ms:.1f} | {warm_cpu_ms:.1f} | {mib:.1f} | {dollars} |", flush=True)

    def opened(self, event, program):
        """The files that it opened to its first answer, and those of them that hold certificates."""
        shutil.which("strace") or sys.exit("cold-start needs strace")
        calls = self.folder / "calls"
        with Instance(["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", calls, program], self.environment, 512) as instance:
            instance.ready()
            instance.answer(*self.event(event))
        opened = [line for line in calls.read_text().splitlines() if "= -1" not in line]
        certificates = [line for line in opened if re.search(r'"/etc/(ssl|pki)/', line)]
        return f"{len(opened)} files, of certificates {len(certificates)}".removesuffix(" files")


def request(browser, method, path, body=""):
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "cookies": [f"{name}={value}" for name, value in browser.cookies.items()],
        "headers": {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{browser.at}", "accept-encoding": "gzip"},
        "body": body,
        "isBase64Encoded": False,
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
    }


class Instance:
    """A process of a function, before a Runtime API of its own."""

    def __init__(self, command, environment, memory):
        self.polls, self.events, self.answers = queue.Queue(), queue.Queue(), queue.Queue()
        instance = self

        class Api(BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

            def do_GET(self):
                instance.polls.put(time.perf_counter())
                text = json.dumps(instance.events.get()).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\nLambda-Runtime-Aws-Request-Id: measured\r\n"
                head += f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1e3) + 60_000}\r\nLambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:1:function:measured\r\n\r\n"
                instance.sent = time.perf_counter()
                self.wfile.write(head.encode() + text)

            def do_POST(self):
                chunks = b""
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        chunks += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    chunks = self.rfile.read(int(self.headers["Content-Length"]))
                instance.answers.put((time.perf_counter(), self.path, chunks.decode()))
                self.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        api = {"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory)}
        self.log = tempfile.TemporaryFile("w+")
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(command, env={**environment, **api}, stdout=self.log, stderr=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        # Threads that still hold an event end with the program.
        self.server.shutdown()
        self.server.server_close()

    def ready(self):
        """The milliseconds until it asked for its first event."""
        return (self.got(self.polls) - self.begun) * 1e3

    def answer(self, event, expected):
        """The milliseconds to its answer, wall and processor."""
        before = self.processor()
        self.events.put(event)
        at, path, text = self.got(self.answers)
        cpu = self.processor() - before
        assert path.endswith("/response") and expected in text.replace(" ", ""), f"{event} is answered by {path}: {text[:600]} {self.said()}"
        self.got(self.polls)
        return (at - self.sent) * 1e3, cpu

    def got(self, what):
        try:
            return what.get(timeout=60)
        except queue.Empty:
            raise AssertionError(f"it does not answer: {self.said()}") from None

    def said(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def processor(self):
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def resident(self):
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    own_mounts = ["unshare", "--mount"] + ["--map-root-user"] * (os.geteuid() != 0)
    if "BURSAR_OWN_MOUNTS" not in os.environ and subprocess.run([*own_mounts, "true"], capture_output=True, check=False).returncode == 0:
        os.execvpe(own_mounts[0], [*own_mounts, sys.executable, *sys.argv], {**os.environ, "BURSAR_OWN_MOUNTS": "1"})
    main()
