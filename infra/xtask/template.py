"""Expands template.yaml as SAM does, and lints what CloudFormation would get. Exits with 1 if anything is wrong."""

import json
import logging
import os
import sys
from pathlib import Path

import yaml

# The translator asks boto for a region, and for nothing else; and it warns that nobody collects its metrics.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
logging.getLogger("samtranslator").setLevel(logging.ERROR)

from cfnlint.api import ManualArgs, lint  # noqa: E402
from samtranslator.model.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402


class NoManagedPolicies:
    """Managed policies of AWS, for the translator. The roles of the template name none."""

    def load(self):
        return {}


template = yaml.safe_load((Path(__file__).resolve().parents[2] / "template.yaml").read_text())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        # Code is where `sam deploy` would have uploaded it.
        resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
try:
    expanded = json.dumps(transform(template, {}, NoManagedPolicies()), indent=1)
except InvalidDocumentException as error:
    sys.exit("\n".join(f"template.yaml: SAM: {cause.message}" for cause in error.causes or [error]))
# I3011 wants a deletion policy on logs and queues too; only the table and the secret outlive the stack.
found = lint(expanded, config=ManualArgs(regions=["us-east-1", "eu-central-1"], include_checks=["I"], ignore_checks=["I3011"]))
for match in found:
    print(f"template.yaml: {match.rule.id} {'/'.join(map(str, match.path or []))}: {match.message}", file=sys.stderr)
sys.exit(1 if found else 0)
