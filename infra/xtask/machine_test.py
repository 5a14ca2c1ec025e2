"""Uses `bursar serve` as a college does, while its process is killed, its power is cut and its folder is copied. After each part every
student has one key that works, the one that was shown, and no other key of ours is on.

`machine_test.py <ready line of a bursar, for its provider> [<part> [<program bursar>]]`
"""

import calendar
import json
import os
import quopri
import random
import re
import shutil
import signal
import socket
import socketserver
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import date
from http.client import HTTPException
from pathlib import Path

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True

from deploy_test import Browser, rehearsed  # noqa: E402
from provider_sdk import direct, management_key  # noqa: E402

ADMIN, PATIENCE = "admin@example.edu", 300
ENDS, STUDENTS, AT_ONCE = 30, 210, 8
# What a server that died may answer, and one that is coming up.
AWAY = (OSError, HTTPException)


def main():
    ready, only, program = (sys.argv[1:] + ["", "target/debug/bursar"][len(sys.argv) - 2 :])[:3]
    for part in (a_rehearsal, kills, power_cuts, a_copy_under_load):
        if only in ("", part.__name__):
            begun = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                machine = Machine(Path(program).resolve(), json.loads(ready), Path(folder))
                try:
                    says = part(machine)
                finally:
                    machine.close()
                print(f"machine-test: {part.__name__.replace('_', ' ')}: {says}, {time.monotonic() - begun:.0f} s", flush=True)


def a_rehearsal(machine):
    """An operator walks a student's way, from the invitation to the statement."""
    machine.serve()
    ops, places = machine.program.with_name("bursar-ops"), ["--machine", f"http://{machine.web}", "--health", f"http://{machine.health_at}"]
    command = [ops, "rehearse", *places, "--to", ADMIN, "--state", machine.folder / "state.json"]
    rehearsed(command, iter(lambda: machine.mails.code(ADMIN), None))
    return "all went well"


def kills(machine):
    """The process is killed at random moments while students claim; the provider lives on."""
    machine.serve()
    return ends(machine, ENDS)


def power_cuts(machine):
    """As kills, and of what was written only that is left which was on the disk for sure, and some of the rest."""
    shutil.which("strace") or sys.exit("this part needs strace")
    machine.disk = Disk(machine.data)
    # The first start of all is cut, too.
    for _ in range(5):
        machine.begin()
        time.sleep(random.uniform(0, 0.4))
        machine.end()
    machine.serve()
    return ends(machine, ENDS - 5)


def ends(machine, times):
    """Ends the process so often while students claim, and says how long each start took."""
    starts = []
    machine.programme(STUDENTS)
    with ThreadPoolExecutor(AT_ONCE) as hall:
        claims = []
        for turn in range(times):
            claims += [hall.submit(machine.claim, student) for student in range(turn * STUDENTS // times, (turn + 1) * STUDENTS // times)]
            time.sleep(random.uniform(0, 1.5))
            machine.end()
            starts.append(machine.serve())
        for claim in claims:
            claim.result()
    machine.judge()
    starts.sort()
    return f"{len(machine.keys)} students after {times}; the first page after {starts[len(starts) // 2]:.2f} s, {starts[-1]:.2f} s at the most; {machine.again} keys were taken anew"


def a_copy_under_load(machine):
    """A copy that was made while students claimed is put back elsewhere, and knows whatever was shown since."""
    machine.serve()
    machine.programme(STUDENTS)
    with ThreadPoolExecutor(AT_ONCE) as hall:
        claims = [hall.submit(machine.claim, student) for student in range(STUDENTS)]
        while len(machine.keys) < STUDENTS // 3:
            time.sleep(0.01)
        machine.run("backup", machine.folder / "copies", "--data", machine.data)
        known = len(machine.keys)
        for claim in claims:
            claim.result()
        machine.end()
        machine.data = machine.folder / "new"
        machine.run("restore", machine.folder / "copies", "--data", machine.data)
        machine.settings(data=machine.data)
        machine.serve()
        machine.until("the copy is recovered", lambda: machine.health().get("complete_sync_s") is not None)
        # Who signed in after the copy was made is not signed in.
        for visit in [hall.submit(machine.signed_in, who) for who in machine.keys]:
            visit.result()
    machine.judge()
    return f"{len(machine.keys)} students, of whom {known} had a key when it was made"


class Machine:
    """A folder with settings, a mail server and what runs there; its people, and the keys that they were shown."""

    def __init__(self, program, ready, folder):
        self.program, self.folder, self.data = program, folder, folder / "data"
        self.provider, self.management_key, self.inbox = ready["provider"], management_key(ready), ready["inbox"]
        self.disk, self.process, self.again = None, None, 0
        self.browsers, self.keys = {}, {}
        self.mails = Mails()
        key = folder / "key"
        key.touch(0o600)
        key.write_text(self.management_key)
        self.web, self.health_at = (f"127.0.0.1:{free_port()}" for _ in range(2))
        self.settings()
        # Keys of an earlier part are nobody's here.
        for each in self.ours():
            self.ask(f"/keys/{each['hash']}", self.management_key, "DELETE")

    def settings(self, **changed):
        settings = {"origin": f"http://{self.web}", "listen": self.web, "health": self.health_at, "data": self.data, "mail_from": "credit@example.edu"}
        settings |= {"institution": "Example College", "provider": self.provider, "management_key_file": self.folder / "key"}
        settings |= {"smtp": f"smtp://127.0.0.1:{self.mails.port}"} | changed
        lines = [f"{name} = '{value}'" for name, value in settings.items()] + [f"admins = ['{ADMIN}']", "mail_rate = 600"]
        (self.folder / "bursar.toml").write_text("\n".join(lines))

    def run(self, *words):
        subprocess.run([self.program, *words], check=True, stdout=subprocess.DEVNULL)

    def begin(self):
        command = [self.program, "serve", "--config", self.folder / "bursar.toml"]
        if self.disk:
            command = [*self.disk.watched(), *command]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL)

    def serve(self):
        """Starts it, and returns the seconds until it answered a page."""
        begun = time.monotonic()
        self.begin()
        while not self.answers():
            assert self.process.poll() is None, f"it does not start: {(self.folder / 'log').read_text()[-2000:]}"
            time.sleep(0.01)
        return time.monotonic() - begun

    def answers(self):
        try:
            return Browser(self.web, self.web).request("GET", "/", None) == 200
        except AWAY:
            return False

    def end(self):
        """Kills it, and takes from the disk what a power cut would."""
        if self.disk:
            self.disk.cut(self.process)
        else:
            self.process.kill()
            self.process.wait()

    def programme(self, students):
        """A programme with so many students, made by the admin."""
        admin = self.admin = self.signed_in(ADMIN)
        admin.get("/console/programmes/new")
        year = date.today().year
        term = {"starts_on": f"{year}-01-01", "ends_on": f"{year + 1}-12-31", "timezone": "UTC"}
        admin.submit("/console/programmes", 303, name="CS pilot", cap_usd="1", budget_usd=str(3 * students), **term)
        self.path = admin.location
        roster = f"{self.path}/roster"
        admin.get(roster)
        upload(admin, roster, "email\n" + "".join(f"{address(student)}\n" for student in range(students)))
        admin.submit(f"{roster}/apply", 303)
        self.until("all are on the roster", lambda: admin.get(self.path) and f'data-people="{students}"' in admin.body)

    def signed_in(self, who):
        browser = self.browsers.setdefault(who, Browser(self.web, self.web))
        path = None
        while not path:
            browser.get("/")
            browser.submit("/link", 202, address=who)
            path = self.mails.link(who)
        browser.get(path)
        browser.submit(path, 303)
        return browser

    def claim(self, student):
        """What a student does until there is a key on the screen, whatever answers on the way."""
        who = address(student)
        browser, tries = None, 0
        begun = time.monotonic()
        while who not in self.keys:
            assert time.monotonic() - begun < PATIENCE, f"{who} gets no key: {browser and browser.text()}"
            time.sleep(0.1 * bool(tries))
            tries += 1
            try:
                browser = browser or self.signed_in(who)
                browser.get("/my")
                [press] = re.findall(r'action="(/my/[^"]*/(?:reveal|replace))"', browser.body)[:1] or [None]
                if press and browser.submit(press) == 200 and 'data-testid="key"' in browser.body:
                    self.again += press.endswith("replace")
                    self.keys[who] = browser.hook("key")[1].strip()
            except AWAY:
                pass

    def judge(self):
        """What was shown is known; two hours later, after a sync, it works and nothing else does."""
        for who, browser in self.browsers.items():
            assert who == ADMIN or browser.get("/my") == 200 and 'data-state="live"' in browser.body, f"{who}: {browser.text()}"
        self.until("no mail waits", lambda: self.health().get("oldest_mail_s", 0) is None)
        self.end()
        self.disk = None
        # So that the file of the clock is whole.
        self.serve()
        self.end()
        request = urllib.request.Request(f"{self.inbox}/clock", json.dumps({"advance_s": 2 * 60 * 60}).encode(), {"Content-Type": "application/json"})
        ahead = calendar.timegm(time.strptime(direct(request)["now"][:19], "%Y-%m-%dT%H:%M:%S")) - int(time.time())
        with closing(sqlite3.connect(self.data / "stand-ins/state.db")) as state, state:
            state.execute("INSERT OR REPLACE INTO kept VALUES ('clock', 'ahead', ?)", (f'"PT{ahead}S"',))
        self.serve()
        self.until("a sync begins", self.began_sync)
        self.until("a sync is complete", lambda: (self.health().get("complete_sync_s") or 7200) < 60)
        asked = {"model": "anthropic/claude-opus-4.5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
        for key in self.keys.values():
            self.ask("/chat/completions", key, body=asked)
        on = [key for key in self.ours() if not key["disabled"]]
        assert len(on) == len(set(self.keys.values())) == STUDENTS, f"{len(on)} keys are on for {len(self.keys)} people"
        self.until("nothing is wrong", lambda: self.health().get("problems") == [])

    def close(self):
        if self.process and self.process.poll() is None:
            self.end()

    def health(self):
        try:
            return direct(f"http://{self.health_at}/health")
        except urllib.error.HTTPError as problems:
            return json.load(problems)
        except AWAY:
            return {}

    def began_sync(self):
        """None begins while another runs, such as the night's, which the clock may just have come to."""
        try:
            direct(urllib.request.Request(f"http://{self.health_at}/sync", b""))
        except urllib.error.HTTPError as refused:
            if refused.code != 409:
                raise
            return False
        return True

    def ask(self, path, key, method=None, body=None):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return direct(urllib.request.Request(self.provider + path, body and json.dumps(body).encode(), headers, method=method))

    def ours(self):
        keys = []
        while page := self.ask(f"/keys?include_disabled=true&offset={len(keys)}", self.management_key)["data"]:
            keys += page
        return keys

    def until(self, what, ready):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            if ready():
                return
            time.sleep(0.1)
        raise AssertionError(f"not within {PATIENCE} s: {what}; health says {self.health()}")


class Disk:
    """The disk below a folder: what was written to it, and what of that a power cut leaves. The names of files are kept in their order by
    the file system's journal, up to the last moment at which anything was forced to the disk."""

    CALLS = "openat,write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir"

    def __init__(self, folder):
        self.folder, self.before, self.log = folder, folder.with_name("before"), folder.with_name("calls")

    def watched(self):
        """What is written before the command, so that its calls are noted."""
        shutil.rmtree(self.before, ignore_errors=True)
        if self.folder.exists():
            shutil.copytree(self.folder, self.before)
        self.log.write_bytes(b"")
        return ["strace", "--follow-forks", "--quiet=all", "--decode-fds=path", "--strings-in-hex=all", "--string-limit=1000000000", f"--trace={self.CALLS}", f"--output={self.log}"]

    def cut(self, strace):
        """Kills it in the middle of anything, and leaves in the folder what the disk would have."""
        while not (calls := self.log.read_text()) and strace.poll() is None:
            time.sleep(0.001)
        assert strace.poll() is None, f"it ended by itself: {(self.folder.parent / 'log').read_text()[-2000:]}"
        os.kill(int(calls.split()[0]), signal.SIGKILL)
        strace.wait()
        names = self.replayed()
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, file in sorted(names.items()):
            path.mkdir(0o700) if file is None else path.write_bytes(file.content)

    def replayed(self):
        """What is left, by its path: folders, and files with their content."""
        calls = list(self.calls())
        synced = [call for call in calls if call[0].endswith("sync")]
        forced = synced[-1][1] if synced else 0
        # The rest of what was written had no order: some of it may be there too.
        luck = random.choice([0, 0.5])
        until = random.randint(forced, len(calls)) if luck else forced
        names = {path: None if path.is_dir() else File(path.read_bytes()) for path in [self.before, *self.before.rglob("*")] if self.before.exists()}
        names = {self.folder / path.relative_to(self.before): file for path, file in names.items() if not path.name.endswith("-shm")}
        live = dict(names)
        for number, (call, begun, paths, text, numbers) in enumerate(calls):
            if call in ("pwrite64", "write") and live.get(paths[0]):
                live[paths[0]].writes.append((number, text, numbers[-1] if call == "pwrite64" else None))
            elif call == "ftruncate" and live.get(paths[0]):
                live[paths[0]].writes.append((number, None, numbers[0]))
            elif call.endswith("sync") and live.get(paths[0]):
                live[paths[0]].synced = begun
            for known in (live, names)[: 1 + (number < until)]:
                if call in ("openat", "mkdir"):
                    known.setdefault(paths[-1], live.get(paths[-1]) or (File() if call == "openat" else None))
                elif call in ("unlink", "rmdir"):
                    known.pop(paths[-1], None)
                elif call == "rename":
                    known[paths[-1]] = known.pop(paths[-2])
        for file in filter(None, names.values()):
            file.replay(luck)
        return names

    def calls(self):
        """Each call that came to its end and concerns the folder: its name, how many had ended when it began, its paths, text and numbers."""
        begun, ended = {}, 0
        for line in self.log.open():
            process, _, line = line.partition(" ")
            if "resumed>" in line:
                head, since = begun.pop(process)
                line = head + line[line.index("resumed>") + 8 :]
            else:
                since = ended
            if "<unfinished ...>" in line:
                begun[process] = line[: line.index("<unfinished")], since
                continue
            found = re.match(r"\s*(\w+)\((.*)\)\s+= (\d+)", line, re.S)
            if not found or found[1] == "openat" and "O_CREAT" not in found[2]:
                continue
            call = found[1].removesuffix("at2").removesuffix("at") if found[1] != "openat" else "openat"
            paths = [Path(os.fsdecode(decoded(hidden))) for hidden in re.findall(r"<((?:\\x..)+)>", found[2])]
            texts = [decoded(hidden) for hidden in re.findall(r'"((?:\\x..)*)"', found[2])]
            if call in ("openat", "mkdir", "unlink", "rmdir", "rename", "link"):
                # Relative to the folder before it, or whole.
                paths = [paths[min(place, len(paths) - 1)] / os.fsdecode(text) if paths else Path(os.fsdecode(text)) for place, text in enumerate(texts)]
            if not paths or not paths[-1].is_relative_to(self.folder) or paths[-1].name.endswith("-shm"):
                continue
            rest = re.sub(r'<[^>]*>|"[^"]*"', "", found[2])
            yield call, since, paths, texts[0] if texts else b"", [int(number) for number in re.findall(r", (\d+)", rest)]
            ended += 1


def decoded(hidden):
    return bytes.fromhex(hidden.replace("\\x", ""))


class File:
    """The content of a file, and what was written since by the number of the call."""

    def __init__(self, content=b""):
        self.content, self.writes, self.synced = bytearray(content), [], -1

    def replay(self, luck):
        for number, text, offset in self.writes:
            if number < self.synced or random.random() < luck:
                offset = len(self.content) if offset is None else offset
                self.content += bytes(max(0, offset - len(self.content)))
                if text is None:
                    del self.content[offset:]
                else:
                    self.content[offset : offset + len(text)] = text


class Mails(socketserver.ThreadingTCPServer):
    """A mail server that takes all, and knows the newest link that each person was sent."""

    daemon_threads, request_queue_size = True, 100

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Conversation)
        self.port, self.links, self.codes = self.server_address[1], defaultdict(list), defaultdict(list)
        self.news = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def taken(self, to, text):
        link = re.search(r"https?://[^/\s]+(/c/[\w-]+)", text)
        if link:
            with self.news:
                self.links[to].append(link[1])
                self.codes[to].append(re.search(r"Code: (\S+)", text)[1])
                self.news.notify_all()

    def link(self, to):
        """The newest link, if one comes: who asks within a minute of the last one gets none."""
        with self.news:
            return self.links[to].pop() if self.news.wait_for(lambda: self.links[to], 20) else None

    def code(self, to):
        with self.news:
            return self.codes[to].pop() if self.news.wait_for(lambda: self.codes[to], 20) else None


class Conversation(socketserver.StreamRequestHandler):
    def handle(self):
        with suppress(ConnectionError):
            self.converse()

    def converse(self):
        self.wfile.write(b"220 test\r\n")
        to = ""
        for line in self.rfile:
            word, _, rest = line.decode().strip().partition(" ")
            if word == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.taken(to, quopri.decodestring(b"".join(lines)).decode(errors="replace"))
            if word == "RCPT":
                to = rest.partition("<")[2].partition(">")[0]
            self.wfile.write(b"250 ok\r\n")
            if word == "QUIT":
                return


def address(student):
    return f"student{student}@example.edu"


def upload(browser, action, roster):
    """Sends the file of a roster by the form of the page."""
    boundary = "a-boundary-that-no-roster-has"
    fields = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in (browser.fields(action) | {"mode": "add"}).items())
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="roster.csv"\r\nContent-Type: text/csv\r\n\r\n{roster}\r\n--{boundary}--\r\n'
    browser.request("POST", action, 200, fields + file, f"multipart/form-data; boundary={boundary}")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    main()
