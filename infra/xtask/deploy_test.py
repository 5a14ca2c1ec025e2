"""Deploys the release in this folder to an emulator of AWS, and uses the bundle as people and operators would.

`deploy_test.py <its architecture> <ready line of a bursar, for its provider> <URL of the emulator>`
"""

import http.client
import io
import itertools
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from contextlib import closing
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True

import boto3  # noqa: E402
import yaml  # noqa: E402
from botocore.config import Config  # noqa: E402
from provider_sdk import direct, management_key  # noqa: E402

ADMIN, ADA, BEN = "admin@example.edu", "ada@example.edu", "ben@example.edu"
# Nobody gets two links within a minute.
REHEARSES = "rehearsal@example.edu"
PILOT, STACK, BUCKET, FROM = "/console/programmes/cs-pilot", "bursar", "packages", "bursar@cs.example.edu"
# The emulator delivers the stream and the schedules of each minute by itself.
PATIENCE = 180


def main():
    architecture, ready, url = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    for program in ("cargo", "rustc"):
        assert not shutil.which(program), f"an operator has no {program}"
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], check=True)
    provider = Provider(ready["provider"], management_key(ready))
    stack = Stack(url)
    stack.deploy(Path(), {"MailFrom": FROM, "Admins": f"{ADMIN},{REHEARSES}", "OperatorMail": "operator@example.edu", "Institution": "Example University", "OpenRouterBaseUrl": provider.url})
    stack.aws("secretsmanager").put_secret_value(SecretId=stack.names["ManagementKey"], SecretString=provider.management_key)
    print(f"deploy-test: the stack is made, at {stack.origin}")
    stack.ops = f"./bursar-ops-{architecture}"
    for step in (a_student_gets_a_key, a_sync_and_an_alert, a_killed_claim, a_rotation, an_operator_looks, a_rehearsal):
        step(stack, provider)
        print(f"deploy-test: {step.__name__.replace('_', ' ')}")


def a_student_gets_a_key(stack, provider):
    """From an empty account to a key that works, in two browsers."""
    admin = stack.admin = signed_in(stack, ADMIN, "/console")
    year = date.today().year
    term = {"starts_on": f"{year}-01-01", "ends_on": f"{year + 1}-12-31", "timezone": "UTC"}
    admin.get("/console/programmes/new")
    admin.submit("/console/programmes", 303, name="CS pilot", cap_usd="1", budget_usd="2.40", **term)
    for address in (ADA, BEN):
        admin.get(f"{PILOT}/roster")
        admin.submit(f"{PILOT}/people", 303, email=address)
    student = stack.student = signed_in(stack, ADA, "/my")
    student.get("/my")
    student.submit("/my/cs-pilot/reveal", 200)
    stack.mail(ADA, "you got a new key")
    # 39,000 tokens of this model are 97.5 cents.
    asked = {"model": "anthropic/claude-opus-4.5", "max_tokens": 39_000, "messages": [{"role": "user", "content": "hello"}]}
    answer = provider.ask("/chat/completions", student.hook("key")[1], asked)
    assert answer["choices"], answer


def a_sync_and_an_alert(stack, provider):
    report = stack.invoke("UsageSync", {})
    assert report["complete"] and report["readings_recorded"] == 1, report
    stack.student.get("/my")
    spent = stack.student.hook("grant")[0]
    assert 'data-spent-usd="0.97' in spent, spent
    # A budget of which 40 % is used has crossed no threshold; a smaller one has.
    stack.admin.get(f"{PILOT}/settings")
    stack.admin.submit(PILOT, 303, budget_usd="2.00", thresholds="45")
    stack.mail(ADMIN, "% of $2")


def a_killed_claim(stack, provider):
    """The process of a claim dies between Mint and Record; the next sync disables the key that nobody was shown."""
    student = signed_in(stack, BEN, "/my")
    student.get("/my")
    before = provider.keys()
    provider.victim = stack.names["Claim"]
    status = student.submit("/my/cs-pilot/reveal")
    assert status >= 500 and provider.killed, (status, provider.killed)
    [orphan] = set(provider.keys()) - set(before)
    assert not provider.keys()[orphan]["disabled"], "the key that was made is enabled"
    provider.made_long_ago.add(orphan)
    stack.end_leases()
    report = stack.invoke("UsageSync", {})
    assert report["complete"] and report["orphans_disabled"] == 1, report
    assert provider.keys()[orphan]["disabled"], "the key that nobody was shown still works"
    student.get("/my")
    student.submit("/my/cs-pilot/reveal", 200)
    assert student.hook("key")[1], "no key after the one that was lost"


def a_rotation(stack, provider):
    """The same key as a new version: what is tested is that it is checked and promoted."""
    secrets, secret = stack.aws("secretsmanager"), stack.names["ManagementKey"]
    pending = secrets.put_secret_value(SecretId=secret, SecretString=provider.management_key, VersionStages=["AWSPENDING"])["VersionId"]
    report = stack.invoke("UsageSync", {"task": "rotate"})
    assert report == {"promoted": True}, report
    current = secrets.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")["VersionId"]
    assert current == pending, "the pending key was not promoted"
    report = stack.invoke("UsageSync", {})
    assert report["complete"], report


def an_operator_looks(stack, provider):
    """The emulator lacks some of what AWS has, so that only what it has is judged."""
    looked = subprocess.run([stack.ops, "doctor", "--stack", STACK, "--students", "200"], env=stack.environment(), capture_output=True, text=True)
    assert looked.returncode in (1, 2), looked
    for check in ("stack", "secret", "function Claim", "mail events", "function Mail", "schedule UsageSyncNightly"):
        assert re.search(rf"^ok +{check}:", looked.stdout, re.M), f"{check}: {looked}"
    nowhere = subprocess.run([stack.ops, "doctor", "--stack", "another"], env=stack.environment(), capture_output=True, text=True)
    assert nowhere.returncode == 2 and "there is no stack another" in nowhere.stderr, nowhere


def a_rehearsal(stack, provider):
    """Over HTTPS, by the codes of the mails, with SES telling that each was delivered; and what is refused before that."""
    with tempfile.TemporaryDirectory() as folder:
        front = Front(stack, Path(folder))
        told = set()
        threading.Thread(target=lambda: tell_deliveries(stack, told), daemon=True).start()
        environment = stack.environment() | {"HTTPS_PROXY": front.url, "SSL_CERT_FILE": str(front.certificate)}

        def command(name, address):
            return [stack.ops, "rehearse", "--stack", name, "--to", address, "--state", f"{folder}/state.json"]

        stack.aws("cloudformation").create_stack(StackName="foreign", TemplateBody=json.dumps({"Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}}}))
        for (name, address), why in {
            ("foreign", REHEARSES): "the stack foreign is not one of Bursar: it lacks Claim,",
            (STACK, "nobody@example.org"): "no code came: the address is on no list here,",
        }.items():
            refused = subprocess.run(command(name, address), env=environment, input="\n", capture_output=True, text=True)
            print(refused.stdout)
            assert refused.returncode == 1 and why in refused.stdout, refused
        codes = (re.search(r"Code: (\S+)", stack.mail(REHEARSES, "Code: ", number)["BodyText"]).group(1) for number in itertools.count(1))
        page = rehearsed(command(STACK, REHEARSES), codes, environment)
        assert "| console: first answer cold, then warm |" in page, page
        assert not stack.mails("nobody@example.org", ""), "no code is mailed to an address on no list"


def rehearsed(command, codes, environment=None):
    """The page of a rehearsal that goes well, with the codes typed as it asks for them."""
    with tempfile.TemporaryFile("w+") as out, subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE) as run:
        said = b""
        while letter := run.stderr.read(1):
            said += letter
            if said.endswith(b"Code: "):
                run.stdin.write(f"{next(codes)}\n".encode())
                run.stdin.flush()
        run.wait()
        out.seek(0)
        page = out.read()
    print(page)
    assert run.returncode == 0, said.decode()
    return page


def tell_deliveries(stack, told):
    """SES events of the mails that the emulator took, which tells none by itself."""
    sns, topic = stack.aws("sns"), stack.names["MailOutcomes"]
    while True:
        for mail in stack.mails("@", ""):
            if mail["MessageId"] not in told:
                told.add(mail["MessageId"])
                about = {"messageId": mail["MessageId"], "destination": mail["To"], "headers": []}
                event = {"eventType": "Delivery", "mail": about, "delivery": {"recipients": mail["To"]}}
                sns.publish(TopicArn=topic, Message=json.dumps(event))
        time.sleep(1)


class Stack:
    def __init__(self, url):
        self.url = url

    def aws(self, service):
        config = Config(proxies={}, retries={"max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=100)
        account = {"region_name": "us-east-1", "aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, config=config, **account)

    def environment(self):
        """What the AWS CLI needs to find the emulator."""
        account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        return os.environ | account | {"AWS_ENDPOINT_URL": self.url}

    def deploy(self, packages, parameters):
        """What `sam deploy` does: uploads the code, names it in the template, and makes the stack."""
        s3, formation = self.aws("s3"), self.aws("cloudformation")
        s3.create_bucket(Bucket=BUCKET)
        template = yaml.safe_load((packages / "template.yaml").read_text())
        assert template["Outputs"]["Version"]["Value"] != "not packaged", "the version is not said"
        # The emulator knows no alarm over several metrics.
        template["Resources"] = {name: of for name, of in template["Resources"].items() if "Metrics" not in of.get("Properties", {})}
        Ses.to = self.url
        template["Globals"]["Function"]["Environment"]["Variables"]["AWS_ENDPOINT_URL_SES"] = served(Ses)
        for function in (of for of in template["Resources"].values() if of["Type"] == "AWS::Serverless::Function"):
            folder, zipped = Path(function["Properties"]["CodeUri"]), io.BytesIO()
            with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                archive.write(packages / folder / "bootstrap", "bootstrap")
            s3.put_object(Bucket=BUCKET, Key=f"{folder.name}.zip", Body=zipped.getvalue())
            function["Properties"]["CodeUri"] = f"s3://{BUCKET}/{folder.name}.zip"
        self.aws("ses").verify_email_identity(EmailAddress=FROM)
        # It is too long to be sent by itself.
        s3.put_object(Bucket=BUCKET, Key="template.yaml", Body=json.dumps(template))
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        formation.create_stack(StackName=STACK, TemplateURL=f"{self.url}/{BUCKET}/template.yaml", Parameters=given, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])

        def made():
            [stack] = formation.describe_stacks(StackName=STACK)["Stacks"]
            if "FAILED" in stack["StackStatus"] or "ROLLBACK" in stack["StackStatus"]:
                events = formation.describe_stack_events(StackName=STACK)["StackEvents"]
                raise AssertionError([(event["LogicalResourceId"], event["ResourceStatusReason"]) for event in events if event.get("ResourceStatusReason")])
            return stack["StackStatus"] == "CREATE_COMPLETE" and stack

        made = self.until("the stack is made", made)
        [self.origin] = [each["OutputValue"] for each in made["Outputs"] if each["OutputKey"] == "Origin"]
        resources = formation.describe_stack_resources(StackName=STACK)["StackResources"]
        self.names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}

    def invoke(self, function, event):
        answer = self.aws("lambda").invoke(FunctionName=self.names[function], Payload=json.dumps(event))
        text = answer["Payload"].read().decode()
        assert "FunctionError" not in answer, f"{function} failed: {text}"
        return json.loads(text)

    def mails(self, to, about):
        """The mails with this text that SES was given for an address, oldest first."""
        sent = [mail for mails in direct(f"{self.url}/_ministack/ses/messages")["messages"].values() for mail in mails]
        return [mail for mail in sent if any(to in each for each in mail["To"]) and about in mail["Subject"] + mail["BodyText"]]

    def mail(self, to, about, number=1):
        """The newest mail with this text to an address, when so many have come."""
        return self.until(f"{number} mails {about!r} for {to}", lambda: len(found := self.mails(to, about)) >= number and found[-1])

    def end_leases(self):
        """Lets the minute of claims that died pass, since the clock of these functions is the machine's."""
        dynamodb, table = self.aws("dynamodb"), self.names["Table"]
        for item in dynamodb.scan(TableName=table)["Items"]:
            if "M" in item.get("lease", {}):
                item["lease"]["M"]["until"]["N"] = "0"
                dynamodb.put_item(TableName=table, Item=item)

    def until(self, what, ready):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            if found := ready():
                return found
            time.sleep(0.1)
        raise AssertionError(f"not within {PATIENCE} s: {what}")


def signed_in(stack, address, home):
    at = urllib.parse.urlsplit(stack.url).netloc
    # The emulator finds the API by the name in `Host`, as AWS does.
    browser = Browser(at, f"{stack.names['Api']}.execute-api.localhost:{at.split(':')[1]}")
    before = len(stack.mails(address, "/c/"))
    browser.get("/")
    browser.submit("/link", 202, address=address)
    link = re.search(r"\S+/c/\S+", stack.mail(address, "/c/", before + 1)["BodyText"]).group()
    assert link.startswith(stack.origin), f"{link} does not begin with {stack.origin}"
    path = link[link.index("/c/") :]
    browser.get(path)
    browser.submit(path, 303)
    assert browser.location == home, browser.location
    return browser


class Browser:
    """One person at one page."""

    def __init__(self, at, host):
        self.at, self.host, self.cookies = at, host, {}

    def get(self, path):
        return self.request("GET", path, 200)

    def submit(self, action, expected=None, **typed):
        """Sends a form of the page back, with its hidden inputs and what was typed."""
        return self.request("POST", action, expected, urllib.parse.urlencode({**self.fields(action), **typed}))

    def fields(self, action):
        """What the forms of the page with this action would send as they are."""
        forms = re.findall(r"<form\b([^>]*)>(.*?)</form>", self.body, re.S)
        found = [inside for attributes, inside in forms if (attribute(attributes, "action") or self.path) == action]
        assert found, f"the page has no form {action}: {self.text()}"
        inputs = [tag for inside in found for tag in re.findall(r"<input\b[^>]*>", inside) if attribute(tag, "name")]
        return {attribute(tag, "name"): attribute(tag, "value") or "" for tag in inputs if attribute(tag, "type") not in ("checkbox", "radio", "submit", "file")}

    def request(self, method, path, expected, body=None, kind="application/x-www-form-urlencoded"):
        connection = http.client.HTTPConnection(self.at, timeout=40)
        headers = {"Host": self.host, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        connection.request(method, path, body, headers | ({"Content-Type": kind} if body is not None else {}))
        answer = connection.getresponse()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = cookie.partition("=")
            self.cookies[name] = rest.split(";")[0]
        self.path, self.location, self.body = path, answer.getheader("Location"), answer.read().decode()
        connection.close()
        assert expected in (None, answer.status), f"{method} {path}: {answer.status} in place of {expected}: {self.text()}"
        return answer.status

    def hook(self, name):
        """The tag and the text of the one element with this hook."""
        [found] = re.findall(rf'(<[^>]*data-testid="{name}"[^>]*>)([^<]*)', self.body)
        return found

    def text(self):
        return " ".join(re.sub(r"<[^>]*>", " ", self.body).split())[:600]


def attribute(tag, name):
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return found and found.group(1)


class PassedOn(BaseHTTPRequestHandler):
    """What is asked of the emulator at another address, byte for byte."""

    protocol_version = "HTTP/1.1"
    to = host = None

    def forward(self, body=None):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) if body is None else body
        left = ("connection", "accept-encoding") + (("host",) if self.host else ())
        headers = {name: value for name, value in self.headers.items() if name.lower() not in left}
        with closing(http.client.HTTPConnection(urllib.parse.urlsplit(self.to).netloc, timeout=100)) as connection:
            connection.request(self.command, self.path, body or None, headers | ({"Host": self.host} if self.host else {}))
            answer = connection.getresponse()
            self.answer(answer.status, [(name, value) for name, value in answer.getheaders() if name.lower() in ("content-type", "location", "set-cookie")], answer.read())

    do_GET = do_POST = forward

    def answer(self, status, headers, text):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(text)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def served(handler):
    """The address at which it answers from now on."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Ses(PassedOn):
    """The emulator's SES, which does not know whether the account may send: it may."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"Action=GetAccountSendingEnabled" not in body:
            return self.forward(body)
        inside = "<GetAccountSendingEnabledResult><Enabled>true</Enabled></GetAccountSendingEnabledResult>"
        text = f'<GetAccountSendingEnabledResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/">{inside}</GetAccountSendingEnabledResponse>'
        self.answer(200, [("Content-Type", "text/xml")], text.encode())


class Front:
    """A proxy that leads from the origin's name to the emulator, and ends its TLS with a certificate of its own."""

    def __init__(self, stack, folder):
        self.certificate, key = folder / "certificate", folder / "key"
        host = urllib.parse.urlsplit(stack.origin).hostname
        names = ["-subj", "/CN=a deployment", "-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", self.certificate, *names], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        api = f"{stack.names['Api']}.execute-api.localhost:{urllib.parse.urlsplit(stack.url).port}"

        class Pages(PassedOn):
            to, host = stack.url, api

        class Tunnel(BaseHTTPRequestHandler):
            def do_CONNECT(self):
                self.send_response(200)
                self.end_headers()
                Pages(context.wrap_socket(self.connection, server_side=True), self.client_address, self.server)
                self.close_connection = True

            def log_message(self, *_):
                pass

        self.url = served(Tunnel)


class Provider:
    """The provider simulator, behind a server that can kill whoever makes a key, and tells of some that they are old."""

    def __init__(self, url, management_key):
        self.to, self.management_key, self.victim, self.killed = url, management_key, None, None
        self.made_long_ago = set()
        outer = self

        class Forward(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                outer.forward(self)

            do_GET = do_POST = do_PATCH = do_DELETE = forward

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def forward(self, asked):
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection", "accept-encoding")}
        request = urllib.request.Request(self.to + asked.path, data=body or None, headers=headers, method=asked.command)
        try:
            answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        text = answer.read()
        if self.victim and (asked.command, asked.path) == ("POST", "/keys"):
            self.killed, self.victim = kill(self.victim), None
            asked.close_connection = True
            return
        if asked.command == "GET" and asked.path.startswith("/keys?"):
            text = self.aged(text)
        asked.send_response(answer.status)
        for name in ("Content-Type", "Retry-After", "Date"):
            if answer.headers.get(name):
                asked.send_header(name, answer.headers[name])
        asked.send_header("Content-Length", str(len(text)))
        asked.end_headers()
        asked.wfile.write(text)

    def aged(self, text):
        """A page of keys, of which some were made two hours ago."""
        page = json.loads(text)
        for key in page.get("data", []):
            if key["hash"] in self.made_long_ago:
                key["created_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * 60 * 60))
        return json.dumps(page).encode()

    def ask(self, path, key, body=None):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return direct(urllib.request.Request(self.to + path, data=body and json.dumps(body).encode(), headers=headers))

    def keys(self):
        return {key["hash"]: key for key in self.ask("/keys?include_disabled=true", self.management_key)["data"]}


def kill(function):
    """Kills the processes of a function, which know their function's name from Lambda."""
    killed = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in variables:
            os.kill(int(process.name), signal.SIGKILL)
            killed.append(int(process.name))
    return killed


if __name__ == "__main__":
    main()
