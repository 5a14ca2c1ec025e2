"""Checks template.yaml: expands it as SAM does, lints the result, and holds it to the rules that no linter knows.

The rules are those of this bundle: nothing wider than it need be, nothing lost, nothing that fails in silence.
`template_mistakes.py` lists mistakes that must be caught; `--self-test` makes each and expects the complaint.
"""

import argparse
import json
import logging
import os
import re
import sys
from pathlib import Path

import yaml

# The translator asks boto for a region, and for nothing else.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
# The translator also warns that nothing collects its metrics.
logging.getLogger("samtranslator").setLevel(logging.ERROR)

from cfnlint.api import ManualArgs, lint  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True

from template_alarms import alarms  # noqa: E402
from template_api import api  # noqa: E402
from template_limits import limits  # noqa: E402
from template_parameters import parameters  # noqa: E402
from template_parts import events, listed, of_type  # noqa: E402
from template_promises import promises  # noqa: E402
from template_roles import roles  # noqa: E402
from template_samples import samples  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]

# Two regions with everything that the template names; the linter knows the resource types of each.
REGIONS = ["us-east-1", "eu-central-1"]

# The services that publish to the topics. AWS asks for both actions.
PUBLISHERS = {"cloudwatch.amazonaws.com", "ses.amazonaws.com"}
PUBLISHING = {"kms:Decrypt", "kms:GenerateDataKey*"}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--self-test", action="store_true", help="make known mistakes and see each one caught")
    if arguments.parse_args().self_test:
        from template_mistakes import self_test

        return self_test((ROOT / "template.yaml").read_text(), complaints)
    found = list(complaints((ROOT / "template.yaml").read_text()))
    for complaint in found:
        print(f"template.yaml: {complaint}", file=sys.stderr)
    return 1 if found else 0


def complaints(text):
    """Everything that is wrong with a template, as sentences; what is found quickly comes first."""
    try:
        template = yaml.load(text, PlainLoader)
    except yaml.YAMLError as error:
        yield str(error)
        return
    yield from schedules(template) + streams(template) + functions(template) + api(template) + limits(template)
    yield from parameters(template) + promises(template) + samples(template)
    try:
        expanded = expand(template)
    except InvalidDocumentException as error:
        yield from (f"SAM: {cause.message}" for cause in error.causes or [error])
        return
    yield from roles(expanded) + kept(expanded) + encrypted(expanded) + alarms(expanded)
    yield from linted(expanded)


class PlainLoader(yaml.SafeLoader):
    """YAML as every parser reads it: no tags (the safe loader refuses them), no key twice (it would take the last)."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def expand(template):
    """The template as CloudFormation gets it. Code is where `sam deploy` would have uploaded it."""
    template = json.loads(json.dumps(template))
    for _, function in of_type(template, "AWS::Serverless::Function"):
        function["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    return transform(template, {}, NoManagedPolicies())


class NoManagedPolicies:
    """Managed policies of AWS, for the translator. The roles of this template name none."""

    def load(self):
        return {}


def linted(expanded):
    matches = lint(
        json.dumps(expanded, indent=1),
        config=ManualArgs(regions=REGIONS, include_checks=["I"], ignore_checks=IGNORED_LINTS),
    )
    return [f"{match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}" for match in matches]


# I3011 wants a deletion policy on logs and queues too; `kept` below says what must outlive the stack.
IGNORED_LINTS = ["I3011"]


# ── Schedules: nothing else reads them before AWS does ───────────────────────────────────────────────────────────────────────


def schedules(template):
    found = []
    for name, event in events(template, "Schedule"):
        for expression in with_bounds(event.get("Schedule", ""), template["Parameters"]):
            if wrong := wrong_schedule(expression):
                found.append(f"{name}: the schedule {expression!r} {wrong}")
        try:
            if not isinstance(json.loads(event.get("Input", "")), dict):
                found.append(f"{name}: the input is not a JSON object")
        except ValueError:
            found.append(f"{name}: the input is not JSON")
    return found


def with_bounds(expression, parameters):
    """A schedule with the default, the least and the most of the parameters that it names."""
    if not isinstance(expression, dict):
        return [expression]
    texts = []
    for bound in ("Default", "MinValue", "MaxValue"):
        value = lambda name: str(parameters.get(name[1], {}).get(bound, name[0]))  # noqa: E731
        texts.append(re.sub(r"\$\{(\w+)\}", value, expression["Fn::Sub"]))
    return texts


def wrong_schedule(expression):
    """What is wrong with an EventBridge schedule, or None."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression)
    if rate:
        number, plural = int(rate[1]), rate[3] == "s"
        if number == 0:
            return "never comes"
        return None if (number == 1) != plural else "has a wrong plural"
    cron = re.fullmatch(r"cron\(([^()]*)\)", expression)
    if not cron:
        return "is neither rate(number unit) nor cron(six fields)"
    fields = cron[1].split(" ")
    if len(fields) != 6:
        return f"has {len(fields)} fields in place of six"
    for field, (name, pattern, low, high) in zip(fields, CRON_FIELDS):
        if not re.fullmatch(pattern, field):
            return f"has {field!r} for the {name}"
        numbers = [int(number) for number in re.findall(r"\d+", re.sub(r"/\d+|#\d+", "", field))]
        if any(number < low or number > high for number in numbers):
            return f"has {field!r} for the {name}, which runs from {low} to {high}"
    if (fields[2] == "?") == (fields[4] == "?"):
        return "must have ? for either the day of the month or the day of the week"
    return None


def several(one):
    """A list of values, ranges and steps of one kind."""
    step = rf"(?:\*|{one})(?:-{one})?(?:/\d+)?"
    return rf"{step}(?:,{step})*"


MONTH = r"(?:\d{1,2}|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)"
DAY = r"(?:\d|SUN|MON|TUE|WED|THU|FRI|SAT)"
CRON_FIELDS = [
    ("minutes", several(r"\d{1,2}"), 0, 59),
    ("hours", several(r"\d{1,2}"), 0, 23),
    ("day of the month", rf"\?|L|\d{{1,2}}W|{several(r'[0-9]{1,2}')}", 1, 31),
    ("month", several(MONTH), 1, 12),
    ("day of the week", rf"\?|{DAY}?L|{DAY}#[1-5]|{several(DAY)}", 1, 7),
    ("year", several(r"\d{4}"), 1970, 2199),
]


# ── Streams: the table has exactly two readers, and a bad filter lets nothing through ────────────────────────────────────────


def streams(template):
    found = []
    readers = list(events(template, "DynamoDB"))
    if len(readers) != 2:
        found.append(f"the table's stream has {len(readers)} readers; beyond two they throttle each other")
    for name, event in readers:
        if "ReportBatchItemFailures" not in event.get("FunctionResponseTypes", []):
            found.append(f"{name}: without ReportBatchItemFailures one bad record repeats its whole batch")
        if not event.get("BisectBatchOnFunctionError"):
            found.append(f"{name}: without BisectBatchOnFunctionError one bad record takes its batch along")
        if not 0 <= event.get("MaximumRetryAttempts", -1) <= 100:
            found.append(f"{name}: without a small MaximumRetryAttempts one bad record blocks the stream for a day")
        if not 60 <= event.get("MaximumRecordAgeInSeconds", -1) <= 86400:
            found.append(f"{name}: without a MaximumRecordAgeInSeconds it would go through what nobody waits for any more")
        if "OnFailure" not in event.get("DestinationConfig", {}):
            found.append(f"{name}: without a destination a record that is given up on is lost")
        filters = event.get("FilterCriteria", {}).get("Filters", [])
        if not filters:
            found.append(f"{name}: without a filter it is woken by every change")
        found += [f"{name}: the filter {wrong}" for each in filters if (wrong := wrong_filter(each.get("Pattern", "")))]
    return found


def wrong_filter(pattern):
    """What is wrong with a filter of a DynamoDB stream, or None."""
    try:
        record = json.loads(pattern)
    except ValueError:
        return "is not JSON"
    if not set(record) <= {"eventName", "dynamodb"}:
        return "names parts that a record does not have"
    if not set(record.get("eventName", [])) <= {"INSERT", "MODIFY", "REMOVE"}:
        return "names events that there are not"
    images = record.get("dynamodb", {})
    if not images or not set(images) <= {"NewImage", "OldImage", "Keys"}:
        return "names parts that a change does not have"
    for attributes in images.values():
        for name, condition in attributes.items():
            values = condition.get("S") if isinstance(condition, dict) and set(condition) == {"S"} else None
            if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
                return f"wants {name} other than as a list of strings under S"
    return None


# ── Functions ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def functions(template):
    found, seen = [], set()
    packages = {path.name for path in (ROOT / "functions").iterdir() if (path / "Cargo.toml").exists()}
    for name, function in of_type(template, "AWS::Serverless::Function"):
        properties = function["Properties"]
        code = re.fullmatch(r"target/lambda/([a-z-]+)/", properties.get("CodeUri", ""))
        seen.add(code[1] if code else None)
        if not code or code[1] not in packages:
            found.append(f"{name}: no package under functions/ builds {properties.get('CodeUri')!r}")
        if "Policies" in properties or "Role" not in properties:
            found.append(f"{name}: SAM would make a role that may write every log and read every stream")
        if "Timeout" not in properties:
            found.append(f"{name}: without a Timeout it has three seconds")
        kinds = [event["Type"] for event in properties.get("Events", {}).values()]
        if set(kinds) & {"Schedule", "SNS"} and "OnFailure" not in destination(properties):
            found.append(f"{name}: without a destination an event that is given up on is lost")
    if packages - seen:
        found.append(f"no function runs {', '.join(sorted(packages - seen))}")
    return found


def destination(properties):
    return properties.get("EventInvokeConfig", {}).get("DestinationConfig", {})


# ── What must survive, and be noticed ─────────────────────────────────────────────────────────────────────────────────────────


def kept(expanded):
    found = []
    for kind in ("AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"):
        resources = list(of_type(expanded, kind))
        if len(resources) != 1:
            found.append(f"there are {len(resources)} resources of the type {kind}, in place of one")
        for name, resource in resources:
            if {resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")} != {"Retain"}:
                found.append(f"{name}: it would be deleted with the stack, or by a change that replaces it")
    for name, table in of_type(expanded, "AWS::DynamoDB::Table"):
        properties = table["Properties"]
        if not properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled"):
            found.append(f"{name}: it cannot be put back to a moment before a mistake")
        if properties.get("TimeToLiveSpecification") != {"AttributeName": "ttl", "Enabled": True}:
            found.append(f"{name}: items expire by the attribute ttl")
        if properties.get("SSESpecification") != {"SSEEnabled": True}:
            found.append(f"{name}: nobody would see who had it opened")
        if properties.get("StreamSpecification", {}).get("StreamViewType") != "NEW_AND_OLD_IMAGES":
            found.append(f"{name}: its readers compare the new image with the old one")
    for name, secret in of_type(expanded, "AWS::SecretsManager::Secret"):
        if set(secret["Properties"]) & {"SecretString", "GenerateSecretString"}:
            found.append(f"{name}: a template holds no secret")
    for name, group in of_type(expanded, "AWS::Logs::LogGroup"):
        if "RetentionInDays" not in group["Properties"]:
            found.append(f"{name}: it would keep logs for ever")
    for name, each in of_type(expanded, "AWS::SES::ConfigurationSetEventDestination"):
        if set(each["Properties"]["EventDestination"]["MatchingEventTypes"]) != {"delivery", "bounce", "complaint"}:
            found.append(f"{name}: mail knows the events delivery, bounce and complaint, and needs all three")
    for name, function in of_type(expanded, "AWS::Lambda::Function"):
        if "LogGroup" not in function["Properties"].get("LoggingConfig", {}):
            found.append(f"{name}: Lambda would make a log group of its own, which keeps logs for ever")
    return found


# ── What lies in topics and queues ───────────────────────────────────────────────────────────────────────────────────────────


def encrypted(expanded):
    found = []
    keys = [{"Ref": name} for name, _ in of_type(expanded, "AWS::KMS::Key")]
    for name, topic in of_type(expanded, "AWS::SNS::Topic"):
        if topic.get("Properties", {}).get("KmsMasterKeyId") not in keys:
            found.append(f"{name}: it has no key of ours, and its publishers may use no other")
    for name, queue in of_type(expanded, "AWS::SQS::Queue"):
        if queue.get("Properties", {}).get("SqsManagedSseEnabled") is not True:
            found.append(f"{name}: what lies in it is not encrypted")
    for name, key in of_type(expanded, "AWS::KMS::Key"):
        if key["Properties"].get("EnableKeyRotation") is not True:
            found.append(f"{name}: it is never rotated")
        found += [f"{name}: {wrong}" for wrong in wrong_key_policy(key["Properties"]["KeyPolicy"]["Statement"])]
    return found


def wrong_key_policy(statements):
    found, may_publish = [], set()
    for statement in statements:
        principal = statement["Principal"]
        services = listed(principal.get("Service", [])) if isinstance(principal, dict) else []
        if PUBLISHING == set(listed(statement["Action"])):
            may_publish |= set(services)
        elif services:
            found.append(f"{', '.join(services)} may do other than publish")
        if services and "Condition" in statement:
            found.append(f"{', '.join(services)} would have to name what AWS does not promise that it names")
        if not services and principal != OWNER:
            found.append("somebody else than the account may use it")
    if not any(each["Principal"] == OWNER and each["Action"] == "kms:*" for each in statements):
        found.append("nobody could ever change it")
    return found + [f"what {service} publishes is lost" for service in sorted(PUBLISHERS - may_publish)]


OWNER = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}


if __name__ == "__main__":
    sys.exit(main())
