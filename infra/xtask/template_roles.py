"""The rules for roles: nothing wider than a function needs, nothing that Lambda lacks, and what is denied item by item."""

import json
import re
from pathlib import Path

from template_parts import listed, of_type

# A function's actions on all resources, because AWS has no narrower resource for them.
UNBOUND_ACTIONS = {"ses:GetSendQuota", "ses:GetAccountSendingEnabled"}

TABLE = {"Fn::GetAtt": ["Table", "Arn"]}

STREAM_ACTIONS = {f"dynamodb:{action}" for action in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")}

WRITES = {f"dynamodb:{action}" for action in ("BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem")}

# The roles of the functions that face strangers: they name each partition of the table that they reach into.
CONFINED = {"ClaimRole", "MailRole"}

# Of the other roles, the one that signs people in, and the one that only reads the list of programmes.
KNOW_SESSIONS = {"ConsoleRole"}
READ_PROGRAMMES = {"ThresholdAlertsRole"}

# The partitions that denials name, in the store's spelling.
KEYS = (Path(__file__).resolve().parents[2] / "shared/src/store/table/keys.rs").read_text()
SPELLED = {"S#*": 'key(format!("S#{}"', "PROGRAMMES": '= "PROGRAMMES";'}


def roles(expanded):
    found = [f"the store spells no key like {key}, which roles deny" for key, text in SPELLED.items() if text not in KEYS]
    used = [json.dumps(function["Properties"]["Role"]) for _, function in of_type(expanded, "AWS::Lambda::Function")]
    if len(used) != len(set(used)):
        found.append("two functions share a role")
    found += missing_actions(expanded)
    for name, role in of_type(expanded, "AWS::IAM::Role"):
        if json.dumps({"Fn::GetAtt": [name, "Arn"]}) not in used:
            found.append(f"{name}: no function has this role")
        if role["Properties"].get("ManagedPolicyArns"):
            found.append(f"{name}: a managed policy is wider than what a function does")
        for statement in statements(role, "Allow"):
            found += [f"{name}: {wrong}" for wrong in wrong_statement(statement, expanded)]
            if name in CONFINED and statement.get("Resource") == TABLE and not confined(statement):
                found.append(f"{name}: it reaches into every partition of the table")
        found += [f"{name}: {wrong}" for wrong in wrong_denials(name, role)]
    return found


def confined(statement):
    """Whether a statement names the partitions of the table, none of which may be a pattern for all."""
    [(operator, condition)] = statement.get("Condition", {"": {}}).items()
    keys = condition.get("dynamodb:LeadingKeys", [])
    return operator == "ForAllValues:StringLike" and keys and all(re.fullmatch(r"[A-Z]+(#\*)?", key) for key in keys)


def statements(role, effect):
    policies = role.get("Properties", {}).get("Policies", [])
    return [each for policy in policies for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == effect]


def allowed(role):
    return {action for statement in statements(role, "Allow") for action in listed(statement.get("Action", []))}


def missing_actions(expanded):
    """Calls that Lambda itself makes with a function's role: without them deploying fails or events are lost."""
    found = []
    for name, function in of_type(expanded, "AWS::Lambda::Function"):
        needed = {"logs:CreateLogStream", "logs:PutLogEvents"}
        for _, other in of_type(expanded, "AWS::Lambda::EventInvokeConfig"):
            needed |= {"sqs:SendMessage"} if other["Properties"]["FunctionName"] == {"Ref": name} else set()
        for _, other in of_type(expanded, "AWS::Lambda::EventSourceMapping"):
            needed |= STREAM_ACTIONS | {"sqs:SendMessage"} if other["Properties"]["FunctionName"] == {"Ref": name} else set()
        role = expanded["Resources"].get(function["Properties"]["Role"].get("Fn::GetAtt", [""])[0], {})
        if needed - allowed(role):
            found.append(f"{name}: its role lacks {', '.join(sorted(needed - allowed(role)))}")
    return found


def wrong_statement(statement, expanded):
    """What is wrong with a statement that allows something, as sentences."""
    found = []
    actions = listed(statement.get("Action", []))
    for action in actions:
        if "*" in action or "?" in action:
            found.append(f"{action} is a pattern; name each action")
        if action in ("dynamodb:Scan", "iam:PassRole"):
            found.append(f"{action} is more than any function needs")
        if action.startswith("ses:Send") and "ses:FromAddress" not in statement.get("Condition", {}).get("StringEquals", {}):
            found.append(f"{action} as any sender")
    for resource in listed(statement.get("Resource", [])):
        if resource == "*" and not set(actions) <= UNBOUND_ACTIONS:
            found.append(f"{', '.join(actions)} on every resource")
        of = resource_kind(resource, expanded)
        found += [f"{action} does not act on {of[0]}" for action in actions if of and action.split(":")[0] != of[1]]
    return found


def resource_kind(resource, expanded):
    """The logical name of the resource that an ARN belongs to, and the service whose actions act on it."""
    if not isinstance(resource, dict):
        return None
    name = resource.get("Ref") or (resource.get("Fn::GetAtt") or [None])[0]
    sub = re.match(r"\$\{(\w+)\.Arn\}", resource["Fn::Sub"]) if "Fn::Sub" in resource else None
    name = sub[1] if sub else name
    if name not in expanded["Resources"]:
        return None
    return name, expanded["Resources"][name]["Type"].split("::")[1].lower()


def wrong_denials(name, role):
    """What is wrong with denials, compared whole: one that is nearly right denies nothing, or everything."""
    there = [{part: each[part] for part in each if part != "Sid"} for each in statements(role, "Deny")]
    wanted = denials(name, allowed(role))
    found = [f"it does not deny {what}" for what, denial in wanted.items() if denial not in there]
    return found + ["it denies what no rule knows" for denial in there if denial not in wanted.values()]


def denials(name, rights):
    denied = {}
    if name not in KNOW_SESSIONS | CONFINED:
        denied["every session"] = {
            "Effect": "Deny",
            "Action": "dynamodb:*",
            "Resource": [TABLE, {"Fn::Sub": "${Table.Arn}/index/*"}],
            "Condition": {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["S#*"]}},
        }
    if name in READ_PROGRAMMES:
        denied["changing the list of programmes"] = {
            "Effect": "Deny",
            "Action": sorted(rights & WRITES),
            "Resource": TABLE,
            "Condition": {"ForAnyValue:StringEquals": {"dynamodb:LeadingKeys": ["PROGRAMMES"]}},
        }
    return denied
