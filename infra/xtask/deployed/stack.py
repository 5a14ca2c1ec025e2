"""The stack as CloudFormation makes it of template.yaml and the packaged zips, on an emulator of AWS."""

import json
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

from deployed import runbook

ROOT = Path(__file__).resolve().parents[3]
STACK, BUCKET, REGION = "bursar", "bursar-packages", "us-east-1"
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
FROM = "bursar@cs.example.edu"
# The emulator delivers the stream and the schedules of each minute by itself.
PATIENCE = 180
SERVICES = ("cloudformation", "dynamodb", "lambda", "logs", "s3", "secretsmanager", "ses")


class Stack:
    def __init__(self, port, packages, parameters):
        self.port, self.packages, self.endpoint = port, Path(packages), f"http://127.0.0.1:{port}"
        self.aws = {name: self.client(name) for name in SERVICES}
        self.parameters = parameters

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}, retries={"max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=60),
        )

    def deploy(self):
        """What `sam deploy` does: uploads the code, names it in the template, and makes the stack."""
        self.make_the_bucket()
        template = (ROOT / "template.yaml").read_text()
        for zipped in sorted(self.packages.glob("*.zip")):
            self.aws["s3"].upload_file(str(zipped), BUCKET, zipped.name)
            folder = f"CodeUri: target/lambda/{zipped.stem}/\n"
            assert folder in template, f"the template does not name the folder of {zipped.name}"
            template = template.replace(folder, f"CodeUri: s3://{BUCKET}/{zipped.name}\n")
        assert "CodeUri: target" not in template, "a function was not packaged"
        self.aws["ses"].verify_email_identity(EmailAddress=FROM)
        # It is too long to be sent by itself.
        self.aws["s3"].put_object(Bucket=BUCKET, Key="template.yaml", Body=template)
        self.aws["cloudformation"].create_stack(
            StackName=STACK,
            TemplateURL=f"{self.endpoint}/{BUCKET}/template.yaml",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
            Capabilities=CAPABILITIES,
        )
        self.until("the stack is made", self.made)
        return self.described()

    def make_the_bucket(self):
        """The stack with the bucket that `sam deploy` makes for itself."""
        bucket = {"SamCliSourceBucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": BUCKET}}}
        self.aws["cloudformation"].create_stack(StackName="aws-sam-cli-managed-default", TemplateBody=json.dumps({"Resources": bucket}))
        self.until("the bucket is made", lambda: BUCKET in [each["Name"] for each in self.aws["s3"].list_buckets()["Buckets"]])

    def described(self):
        """What the stack's outputs and its resources are called."""
        [made] = self.aws["cloudformation"].describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = {each["OutputKey"]: each["OutputValue"] for each in made["Outputs"]}
        resources = self.aws["cloudformation"].describe_stack_resources(StackName=STACK)["StackResources"]
        self.names = {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}
        return self

    def runbook(self, *headings, typed="", code=0, **variables):
        """Runs procedures of the runbook, and returns what they print."""
        return runbook.run(self.endpoint, REGION, headings, typed, code, STACK=STACK, **variables)

    def made(self):
        [stack] = self.aws["cloudformation"].describe_stacks(StackName=STACK)["Stacks"]
        if "FAILED" in stack["StackStatus"] or "ROLLBACK" in stack["StackStatus"]:
            events = self.aws["cloudformation"].describe_stack_events(StackName=STACK)["StackEvents"]
            reasons = [(event["LogicalResourceId"], event.get("ResourceStatusReason")) for event in events]
            raise AssertionError(f"{stack['StackStatus']}: {[each for each in reasons if each[1]]}")
        return stack if stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE") else None

    @property
    def host(self):
        """The name by which the emulator knows the API."""
        return f"{self.names['Api']}.execute-api.localhost:{self.port}"

    def invoke(self, function, event):
        answer = self.aws["lambda"].invoke(FunctionName=self.names[function], Payload=json.dumps(event))
        text = answer["Payload"].read().decode()
        assert "FunctionError" not in answer, f"{function} failed: {text}"
        return json.loads(text)

    def items(self, table):
        """Everything in a table."""
        pages = self.aws["dynamodb"].get_paginator("scan").paginate(TableName=table)
        return [item for page in pages for item in page["Items"]]

    def update(self):
        """What a later `sam deploy` does."""
        given = [{"ParameterKey": key, "UsePreviousValue": True} for key in self.parameters]
        url = f"{self.endpoint}/{BUCKET}/template.yaml"
        self.aws["cloudformation"].update_stack(StackName=STACK, TemplateURL=url, Parameters=given, Capabilities=CAPABILITIES)
        self.until("the stack is updated", self.made)

    def mails(self, to, about):
        """The mails with this text that SES was given for an address, oldest first."""
        with direct(f"{self.endpoint}/_ministack/ses/messages") as answer:
            sent = [mail for mails in json.load(answer)["messages"].values() for mail in mails]
        return [mail for mail in sent if any(to in each for each in mail["To"]) and about in mail["Subject"] + mail["BodyText"]]

    def mail(self, to, about, number=1):
        """The newest mail with this text to an address, when so many have come."""
        return self.until(f"{number} mails {about!r} for {to}", lambda: len(found := self.mails(to, about)) >= number and found[-1])

    def logged(self, group, text):
        """Whether a function has logged a line with this text."""
        events = self.aws["logs"].filter_log_events(logGroupName=group)["events"]
        return any(text in event["message"] for event in events)

    def until(self, what, ready):
        begun = time.monotonic()
        while time.monotonic() - begun < PATIENCE:
            if found := ready():
                return found
            time.sleep(0.1)
        raise AssertionError(f"not within {PATIENCE} s: {what}")


def direct(request):
    """A request without any configured proxy, since everything here is loopback."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)
