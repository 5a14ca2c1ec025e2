"""The samples under infra/samples: each gives exactly what the template asks for, by its own rules, so that it could be deployed."""

import re
from pathlib import Path

import yaml

from template_limits import holds

FOLDER = Path(__file__).resolve().parents[1] / "samples"


def samples(template):
    """What is wrong with the samples that are there."""
    files = sorted(FOLDER.glob("*.yaml"))
    if not files:
        return [f"there is no sample in {FOLDER}"]
    return [f"{file.name}: {wrong}" for file in files for wrong in wrong_sample(template, yaml.safe_load(file.read_text()))]


def wrong_sample(template, given):
    parameters = template["Parameters"]
    found = [f"the template asks for no {name}" for name in given if name not in parameters]
    found += [
        f"{name} is not given, and has no default"
        for name, parameter in parameters.items()
        if name not in given and "Default" not in parameter
    ]
    for name, value in given.items():
        if name in parameters and (wrong := wrong_value(parameters[name], value)):
            found.append(f"{name}: {value!r} {wrong}")
    values = {name: str(given.get(name, parameter.get("Default", ""))) for name, parameter in parameters.items()}
    for rule in template.get("Rules", {}).values():
        found += [each["AssertDescription"] for each in rule["Assertions"] if not holds(each["Assert"], values)]
    return found


def wrong_value(parameter, value):
    """Why CloudFormation would refuse a value, or None."""
    if not isinstance(value, str):
        return "is no text: put it in quotes, since YAML reads on, off and numbers otherwise"
    if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
        return f"is none of {', '.join(map(str, parameter['AllowedValues']))}"
    if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"].strip("^$"), value):
        return f"does not fit {parameter['AllowedPattern']}"
    if len(value) < int(parameter.get("MinLength", 0)):
        return "is too short"
    if parameter["Type"] == "Number":
        if not re.fullmatch(r"-?\d+", value):
            return "is no number"
        low, high = parameter.get("MinValue", int(value)), parameter.get("MaxValue", int(value))
        if not low <= int(value) <= high:
            return f"is not between {low} and {high}"
    return None


# A name for the mistake in a sample that is otherwise right, what is given besides, and a part of the complaint.
MISTAKES = [
    ("a parameter that the template does not have", {"MailForm": "a@example.edu"}, "asks for no MailForm"),
    ("a sender with a name", {"MailFrom": "Bursar <a@example.edu>"}, "MailFrom"),
    ("a required one left out", {"Institution": None}, "Institution is not given"),
    ("an hour that no day has", {"SyncHour": "24"}, "is not between 0 and 23"),
    ("a processor that nobody has", {"Architecture": "arm"}, "is none of"),
    ("an empty name", {"Institution": ""}, "is too short"),
    ("a switch that YAML reads", {"AccessLog": True}, "put it in quotes"),
    ("a domain without its certificate", {"CertificateArn": None}, "are given both or not at all"),
    ("a number in words", {"RetentionDays": "a year"}, "is no number"),
]


def samples_self_test(template):
    """The mistakes that would not be found."""
    given = yaml.safe_load((FOLDER / "university-50000.yaml").read_text())
    missed = [f"the sample itself: {wrong}" for wrong in wrong_sample(template, given)]
    for name, change, complaint in MISTAKES:
        broken = {key: value for key, value in {**given, **change}.items() if value is not None}
        found = wrong_sample(template, broken)
        if not any(complaint in wrong for wrong in found):
            missed.append(f"{name} in a sample is not found: {found}")
    return missed
