"""One command of the AWS CLI, tried on the CLI itself: its parser, its files, its check of parameters. Nothing is sent.

It is the CLI's first major version, whose commands and options the second has too.
"""

import contextlib
import io
import os

import jmespath

# Whatever this machine is configured for stays out of it.
os.environ.update(
    AWS_ACCESS_KEY_ID="none",
    AWS_SECRET_ACCESS_KEY="none",
    AWS_DEFAULT_REGION="eu-central-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
)
os.environ.pop("AWS_ENDPOINT_URL", None)

from awscli.clidriver import create_clidriver  # noqa: E402


class Sent(BaseException):
    """A request is complete. It is no `Exception`, so that the CLI lets it through."""


class Commands:
    def __init__(self):
        self.driver = create_clidriver()
        self.operation, self.parameters = None, None
        self.driver.session.register("before-parameter-build", self.build)
        self.driver.session.register("before-call", self.send)

    def build(self, params, model, **_):
        self.operation, self.parameters = model, dict(params)

    def send(self, **_):
        raise Sent

    def wrong(self, words):
        """What the CLI has against a command, as sentences."""
        self.operation = None
        out = io.StringIO()
        try:
            with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
                self.driver.main(list(words))
        except Sent:
            return self.values(self.operation.input_shape, self.parameters) + self.query(words)
        except SystemExit:
            pass
        return [last_lines(out.getvalue())]

    def values(self, shape, value, path=""):
        """Values that the service does not know. The CLI leaves these to the service."""
        if shape is None:
            return []
        if shape.type_name == "structure":
            return [each for key, inner in value.items() for each in self.values(shape.members[key], inner, f"{path}.{key}")]
        if shape.type_name == "list":
            return [each for inner in value for each in self.values(shape.member, inner, path)]
        known = getattr(shape, "enum", None)
        if known and value not in known:
            return [f"{path[1:]} knows no {value!r}, only {', '.join(known)}"]
        return []

    def query(self, words):
        """Fields of --query that no answer has."""
        if "--query" not in words:
            return []
        expression = words[words.index("--query") + 1]
        try:
            asked = fields(jmespath.compile(expression).parsed)
        except jmespath.exceptions.JMESPathError as error:
            return [f"--query {expression}: {error}"]
        told = set(members(self.operation.output_shape, set()))
        return [f"--query: {self.operation.name} answers no {field}" for field in asked if field not in told]


def fields(node):
    if node["type"] == "field":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from fields(child)


def members(shape, seen):
    """The names of all fields of an answer, however deep."""
    if shape is None or shape.name in seen:
        return
    seen.add(shape.name)
    if shape.type_name == "structure":
        for name, inner in shape.members.items():
            yield name
            yield from members(inner, seen)
    elif shape.type_name == "list":
        yield from members(shape.member, seen)
    elif shape.type_name == "map":
        yield from members(shape.value, seen)


def answer_complaints(shape, value, path=""):
    """Where a recorded answer is not of the form that the service's model has."""
    kind = shape.type_name
    wanted = {"structure": dict, "map": dict, "list": list, "string": str, "boolean": bool, "timestamp": (str, float, int)}
    wanted |= {"integer": int, "long": int, "float": float, "double": float}
    # JSON has no bool among its numbers, but Python has.
    if not isinstance(value, wanted.get(kind, object)) or (kind in ("integer", "long") and isinstance(value, bool)):
        return [f"{path or 'the answer'} is no {kind}"]
    if kind == "structure":
        unknown = [f"{path}.{key} is not in the model" for key in value if key not in shape.members]
        inner = [each for key in value if key in shape.members for each in answer_complaints(shape.members[key], value[key], f"{path}.{key}")]
        return unknown + inner
    if kind == "list":
        return [each for inner in value for each in answer_complaints(shape.member, inner, path)]
    if kind == "map":
        return [each for inner in value.values() for each in answer_complaints(shape.value, inner, path)]
    if getattr(shape, "enum", None) and value not in shape.enum:
        return [f"{path} knows no {value!r}"]
    return []


def last_lines(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if "error:" in line or "Unknown" in line or "Invalid" in line or "required" in line]
    return " ".join(kept or lines[-3:]) or "the AWS CLI refused it without a word"
