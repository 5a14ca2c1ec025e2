"""The parts of template.yaml as its checks iterate over them."""


def of_type(template, kind):
    return ((name, each) for name, each in template["Resources"].items() if each["Type"] == kind)


def events(template, kind):
    for name, function in of_type(template, "AWS::Serverless::Function"):
        for event_name, event in function["Properties"].get("Events", {}).items():
            if event["Type"] == kind:
                yield f"{name}.{event_name}", event["Properties"]


def listed(value):
    return value if isinstance(value, list) else [value]
