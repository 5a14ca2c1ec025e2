"""Deploys template.yaml and the packaged zips to an emulator of AWS, and uses the bundle as people would.

`deploy_test.py <folder of the zips> <their architecture> <ready line of a bursar, for its provider> <port of the emulator>`
"""

import json
import os
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True

from deployed.browser import Browser  # noqa: E402
from deployed.runbook import RESTORE  # noqa: E402
from deployed.stack import FROM, Stack, direct  # noqa: E402
from provider_sdk import management_key  # noqa: E402

ADMIN, ADA, BEN = "admin@example.edu", "ada@example.edu", "ben@example.edu"
PILOT = "/console/programmes/cs-pilot"


def main():
    packages, architecture, ready, port = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
    provider = Provider(ready["provider"])
    stack = Stack(port, packages, parameters(architecture, provider.url)).deploy()
    print(f"deploy-test: the stack is made, at {stack.outputs['Origin']}")
    stack.runbook("Keep it from later mistakes", "Put the management key", typed=f"{management_key(ready)}\n")
    steps = (a_student_gets_a_key, a_sync_and_an_alert, a_rotation, a_killed_claim, schedules_come, a_restored_table, doctor_is_asked)
    for step in (*steps, everything_is_removed):
        step(stack, provider, ready)
        print(f"deploy-test: {step.__name__.replace('_', ' ')}")


def parameters(architecture, provider):
    return {
        "Architecture": architecture,
        "MailFrom": FROM,
        "Admins": ADMIN,
        "OperatorMail": "operator@example.edu",
        "Institution": "Example University",
        "OpenRouterBaseUrl": provider,
    }


def a_student_gets_a_key(stack, provider, ready):
    """From an empty account to a key that works, in two browsers."""
    admin = signed_in(stack, ADMIN, "/console")
    new = admin.get("/console/programmes/new").expect(200)
    year = date.today().year
    term = {"starts_on": f"{year}-01-01", "ends_on": f"{year + 1}-12-31", "timezone": "UTC"}
    made = admin.submit(new, "/console/programmes", name="CS pilot", cap_usd="1", pot_usd="2.40", **term).expect(303)
    assert made.location == PILOT, made.location
    for address in (ADA, BEN):
        admin.submit(admin.get(PILOT).expect(200), f"{PILOT}/people", email=address).expect(303)
    student = signed_in(stack, ADA, "/my")
    shown = student.submit(student.get("/my").expect(200), "/my/cs-pilot/reveal").expect(200)
    stack.key = shown.hook("key")["text"]
    stack.mail(ADA, "you took a new key")
    # 39,000 tokens of this model are 97.5 cents.
    asked = {"model": "anthropic/claude-opus-4.5", "max_tokens": 39_000, "messages": [{"role": "user", "content": "hello"}]}
    answer = json.load(provider.chat(stack.key, asked))
    assert answer["choices"], answer
    stack.people = {"admin": admin, "student": student}


def a_sync_and_an_alert(stack, provider, ready):
    printed = stack.runbook("Sync by hand")
    [report] = answers(printed)
    assert report["complete"] and report["readings_recorded"] == 1, report
    assert '"message":"synced"' in printed, f"the log does not say what was reported: {printed}"
    spent = stack.people["student"].get("/my").expect(200).hook("grant")["data-spent-usd"]
    assert spent.startswith("0.97"), spent
    # A pot of which 40 % is used has crossed no threshold; a smaller one has.
    overview = stack.people["admin"].get(PILOT).expect(200)
    stack.people["admin"].submit(overview, PILOT, pot_usd="2.00", thresholds="45").expect(303)
    stack.mail(ADMIN, "% of $2")


def a_rotation(stack, provider, ready):
    """The same key as a new version: what is tested is that it is checked and promoted."""
    secrets, secret = stack.aws["secretsmanager"], stack.names["ManagementKey"]
    current = lambda: secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["VersionId"]  # noqa: E731
    before = current()
    rotated, synced = answers(stack.runbook("Rotate the management key", typed=f"{management_key(ready)}\n"))
    assert rotated == {"promoted": True} and synced["complete"], (rotated, synced)
    assert current() != before, "the pending key was not promoted"


def a_killed_claim(stack, provider, ready):
    """The process of a claim dies between Mint and Record; the next sync disables the key that nobody was shown."""
    student = signed_in(stack, BEN, "/my")
    my = student.get("/my").expect(200)
    before = provider.keys(ready)
    provider.kill_when_a_key_is_made(stack.names["Claim"])
    page = student.submit(my, "/my/cs-pilot/reveal")
    assert page.status >= 500 and provider.killed, (page.status, provider.killed)
    [orphan] = set(provider.keys(ready)) - set(before)
    assert not provider.keys(ready)[orphan]["disabled"], "the key that was made is enabled"
    age_attempts(stack)
    report = stack.invoke("UsageSync", {})
    assert report["complete"] and report["orphans_disabled"] == 1, report
    assert provider.keys(ready)[orphan]["disabled"], "the key that nobody was shown still works"
    again = student.submit(student.get("/my").expect(200), "/my/cs-pilot/reveal").expect(200)
    assert again.hook("key")["text"], "no key after the one that was lost"


def schedules_come(stack, provider, ready):
    """The drain of each minute. It sends no bulk mail here, since the emulator does not know `GetAccountSendingEnabled`."""
    log = stack.names["MailLog"]
    stack.until("a drain of the schedule", lambda: stack.logged(log, '"drained":true'))


def a_restored_table(stack, provider, ready):
    """The table put back to a moment, in the place of the stack's own, as the runbook says."""
    before = stack.names["Table"]
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    [report] = answers(stack.runbook(*RESTORE, RESTORE_TO=moment))
    assert report["complete"], report
    after = stack.described().names["Table"]
    assert after != before and stack.outputs["Table"] == after, (before, after, stack.outputs)
    [meta] = [item for item in stack.items(after) if item["kind"]["S"] == "meta"]
    assert meta["table"]["S"] == after, f"the sync did not take the copy for the table: {meta}"
    stack.update()
    assert stack.described().names["Table"] == after, "the template replaced the table"
    # Another table than the stack's lets nothing run, and what is in use is not deleted.
    stack.runbook("Let the functions run", code=1, RESTORED=before)
    stack.runbook("Delete what was deleted since", OLD_TABLE=before)
    stack.runbook("Delete what was deleted since", code=1, OLD_TABLE=after)
    tables = stack.aws["dynamodb"].list_tables()["TableNames"]
    assert before not in tables and after in tables, tables
    # The stream of the restored table brings the link, and the grants are there.
    spent = signed_in(stack, ADA, "/my").get("/my").expect(200).hooks
    assert any(hook["data-testid"] == "grant" for hook in spent), spent


def doctor_is_asked(stack, provider, ready):
    """It understands every answer; what it would mend are the ways in which the emulator is not AWS."""
    lines = [re.fullmatch(r"(ok|MEND|not checked) +([^:]+): (.*)", line) for line in stack.runbook("The day before", code=1, STUDENTS="200").splitlines()]
    assert all(lines) and len(lines) > 25, lines
    found = {name: (word, text) for word, name, text in (line.groups() for line in lines)}
    assert not any(text == "unexpected answer" for _, text in found.values()), found
    differs = {name for name, (word, _) in found.items() if word != "ok"}
    assert differs == EMULATED, {name: found.get(name) for name in differs ^ EMULATED}


def everything_is_removed(stack, provider, ready):
    """The protected stack, and then the table and the secret, which it keeps."""
    stack.runbook("Remove everything")
    tables, secret = stack.aws["dynamodb"].list_tables()["TableNames"], stack.names["ManagementKey"]
    assert stack.names["Table"] not in tables, tables
    assert "DeletedDate" in stack.aws["secretsmanager"].describe_secret(SecretId=secret), "the secret is kept"


# The emulator makes no metric of a log line, keeps another list of identities for each version of SES, and does not say how a table
# is encrypted. It is not at the address that the AWS CLI asks for queues.
EMULATED = {"management key", "mail identity", "table", "dead letters"}


def answers(printed):
    """The answers of functions among what a procedure printed, each after the line that says that it did not fail."""
    lines = printed.splitlines()
    found = []
    for line, after in zip(lines, lines[1:]):
        if line == "None":
            found.append(json.JSONDecoder().raw_decode(after)[0])
    assert found, f"no function answered: {printed}"
    return found


def age_attempts(stack):
    """Lets two hours pass for open attempts, since the clock of these functions is the machine's."""
    table, two_hours = stack.names["Table"], 2 * 60 * 60 * 1000
    for item in stack.items(table):
        if item["kind"]["S"] != "grant" or "minting" not in json.dumps(item["state"]):
            continue
        for attempt in item["attempts"]["L"]:
            begun = attempt["M"]["begun_at"]
            begun["N"] = str(int(begun["N"]) - two_hours)
        stack.aws["dynamodb"].put_item(TableName=table, Item=item)


def signed_in(stack, address, home):
    browser = Browser(stack.port, stack.host)
    before = len(stack.mails(address, "/c/"))
    browser.submit(browser.get("/").expect(200), "/link", address=address).expect(202)
    mail = stack.mail(address, "/c/", before + 1)
    link = next(word for word in mail["BodyText"].split() if "/c/" in word)
    assert link.startswith(stack.outputs["Origin"]), f"{link} does not begin with {stack.outputs['Origin']}"
    path = link[link.index("/c/") :]
    signed = browser.submit(browser.get(path).expect(200), path).expect(303)
    assert signed.location == home, signed.location
    return browser


class Provider:
    """The provider simulator, behind a server that can kill whoever makes a key."""

    def __init__(self, url):
        self.to, self.victim, self.killed = url, None, None
        outer = self

        class Forward(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                outer.forward(self)

            do_GET = do_POST = do_PATCH = do_DELETE = forward

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request, address):
                # Whoever was killed closes the connection.
                if not outer.killed:
                    super().handle_error(request, address)

        server = Server(("127.0.0.1", 0), Forward)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def kill_when_a_key_is_made(self, function):
        self.victim = function

    def forward(self, asked):
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
        request = urllib.request.Request(self.to + asked.path, data=body or None, headers=headers, method=asked.command)
        try:
            answer = direct(request)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        text = answer.read()
        if self.victim and (asked.command, asked.path) == ("POST", "/keys"):
            self.killed, self.victim = kill(self.victim), None
        asked.send_response(answer.status)
        for name in ("Content-Type", "Retry-After", "Date"):
            if answer.headers.get(name):
                asked.send_header(name, answer.headers[name])
        asked.send_header("Content-Length", str(len(text)))
        asked.end_headers()
        asked.wfile.write(text)

    def chat(self, key, asked):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return direct(urllib.request.Request(f"{self.to}/chat/completions", data=json.dumps(asked).encode(), headers=headers))

    def keys(self, ready):
        headers = {"Authorization": f"Bearer {management_key(ready)}"}
        listed = json.load(direct(urllib.request.Request(f"{self.to}/keys?include_disabled=true", headers=headers)))
        return {key["hash"]: key for key in listed["data"]}


def kill(function):
    """Kills the processes of a function, which know their function's name from Lambda."""
    killed = []
    for process in Path("/proc").iterdir():
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in variables and process.name.isdigit():
            os.kill(int(process.name), signal.SIGKILL)
            killed.append(int(process.name))
    return killed


if __name__ == "__main__":
    main()
