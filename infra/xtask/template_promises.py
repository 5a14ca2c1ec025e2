"""The rules for what a deployed stack must never lose: its table and its secret, under their names in the template and with the
table's keys as they are. A change of any of these would make CloudFormation begin an empty one beside it.
"""

import json
from pathlib import Path

from template_parts import listed

POLICY = Path(__file__).resolve().parents[1] / "stack-policy.json"

# By logical name: the type, and what a change of would replace the resource.
KEPT = {
    "Table": (
        "AWS::DynamoDB::Table",
        {
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            "TableName": None,
        },
    ),
    "ManagementKey": ("AWS::SecretsManager::Secret", {"Name": None}),
}
KEY_TYPES = {"pk": "S", "sk": "S"}


def promises(template):
    found = []
    for name, (kind, properties) in KEPT.items():
        resource = template["Resources"].get(name, {})
        if resource.get("Type") != kind:
            found.append(f"{name}: a deployed stack would lose its {kind}, which must keep its name here")
            continue
        for each, value in properties.items():
            if resource["Properties"].get(each) != value:
                found.append(f"{name}: another {each} replaces it by an empty one")
    attributes = template["Resources"].get("Table", {}).get("Properties", {}).get("AttributeDefinitions", [])
    types = {each["AttributeName"]: each["AttributeType"] for each in attributes}
    if {each: types.get(each) for each in KEY_TYPES} != KEY_TYPES:
        found.append("Table: another type of its keys replaces it by an empty one")
    return found + policy(json.loads(POLICY.read_text()))


def policy(document):
    """What the stack's policy lets CloudFormation do to what is kept."""
    denied = {(action, resource) for each in document["Statement"] if each["Effect"] == "Deny" for action in listed(each["Action"]) for resource in listed(each["Resource"])}
    wanted = {(action, f"LogicalResourceId/{name}") for action in ("Update:Replace", "Update:Delete") for name in KEPT}
    return [f"stack-policy.json: it does not deny {action} of {resource}" for action, resource in sorted(wanted - denied)]
