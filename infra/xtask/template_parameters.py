"""The rules for parameters: each is asked for once, says what it is for, and takes nothing that would fail at the first student."""

from template_parts import of_type

# What may be any text: a name and a way to reach people.
FREE = {"Institution", "Support"}

# What a line of the access log may say. A path may hold a link, and an address is a person's.
LOGGED = {"requestTime", "routeKey", "status", "responseLatency", "requestId"}


def parameters(template):
    found = []
    interface = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {})
    grouped = [name for group in interface.get("ParameterGroups", []) for name in group["Parameters"]]
    for name, parameter in template["Parameters"].items():
        if grouped.count(name) != 1:
            found.append(f"{name}: the console asks for it {grouped.count(name)} times")
        if not parameter.get("Description"):
            found.append(f"{name}: it does not say what it is for")
        bounded = set(parameter) & {"AllowedPattern", "AllowedValues", "MinValue"}
        if name not in FREE and not bounded:
            found.append(f"{name}: a wrong value would be found by the first student")
    found += [f"{name}: there is no such parameter to ask for" for name in sorted(set(grouped) - set(template["Parameters"]))]
    return found + access_log(template)


def access_log(template):
    found = []
    if template["Parameters"].get("AccessLog", {}).get("Default") != "off":
        found.append("AccessLog: nobody asked for a log of every request")
    for name, stage in of_type(template, "AWS::ApiGatewayV2::Stage"):
        choice = stage["Properties"].get("AccessLogSettings", {}).get("Fn::If", [None, {}, None])
        said = {each.split('"')[0] for each in choice[1].get("Format", "").split("$context.")[1:]}
        if choice[0] != "AccessLogOn" or choice[2] != {"Ref": "AWS::NoValue"}:
            found.append(f"{name}: requests are logged where nobody asked for it")
        if said != LOGGED:
            found.append(f"{name}: the access log says {sorted(said ^ LOGGED)} otherwise than agreed")
    return found
