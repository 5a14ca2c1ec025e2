"""The rules for what a flood may use up, and for the domain: rates of routes, shares of what runs at once, one name for the API."""

import itertools
import re

from template_parts import of_type

# Routes that anybody may call, so a flood of them must not use up the rate of any other. A lecture hall calls
# them at once.
DOORS = {"POST /link", "POST /code", "ANY /c/{proxy+}"}
LECTURE_HALL = 1000


def limits(template):
    return rates(template) + shares(template) + domain(template)


def rates(template):
    found = []
    routes = {each["Properties"]["RouteKey"]: name for name, each in of_type(template, "AWS::ApiGatewayV2::Route")}
    for name, stage in of_type(template, "AWS::ApiGatewayV2::Stage"):
        rest = stage["Properties"].get("DefaultRouteSettings", {})
        own = stage["Properties"].get("RouteSettings", {})
        found += [f"{name}: there is no route {each} to limit" for each in sorted(set(own) - set(routes))]
        late = {routes[each] for each in own if each in routes} - set(stage.get("DependsOn", []))
        found += [f"{name}: it would limit {each} before that is there" for each in sorted(late)]
        found += [f"{name}: a flood at {each} uses up everybody's rate" for each in sorted(DOORS - set(own))]
        slowest = bound(template, rest.get("ThrottlingRateLimit"), "MinValue")
        for each, settings in {"everything else": rest, **own}.items():
            if not {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(settings):
                found.append(f"{name}: {each} needs both a rate and a burst")
            elif bound(template, settings["ThrottlingBurstLimit"], "MinValue") < LECTURE_HALL:
                found.append(f"{name}: {each} turns away a lecture hall that presses at once")
            elif each in DOORS and bound(template, settings["ThrottlingRateLimit"], "MaxValue") >= slowest:
                found.append(f"{name}: {each} takes as much as everything else")
    return found


def bound(template, limit, which):
    """The least or the most that a limit can be: of a parameter what its constraints leave, else none."""
    if not isinstance(limit, dict):
        return limit or 0
    parameter = template["Parameters"].get(limit["Ref"], {})
    return parameter.get(which, float("inf") if which == "MaxValue" else 0)


def shares(template):
    found = []
    for name, function in of_type(template, "AWS::Serverless::Function"):
        share, given = f"{name}Concurrency", f"{name}ConcurrencyGiven"
        parameter, condition = template["Parameters"].get(share, {}), template["Conditions"].get(given)
        wanted = {"Fn::If": [given, {"Ref": share}, {"Ref": "AWS::NoValue"}]}
        if function["Properties"].get("ReservedConcurrentExecutions") != wanted or not condition:
            found.append(f"{name}: how many may run at once is no parameter of its own")
        elif holds(condition, {share: ""}) or not holds(condition, {share: "5"}) or parameter.get("Default") != "":
            found.append(f"{name}: copies would be kept free for it that a new account does not have")
        elif re.fullmatch(parameter.get("AllowedPattern", ".*"), "0"):
            found.append(f"{name}: with 0 it would never run")
    return found


def domain(template):
    found = []
    rules = [each["Assert"] for rule in template.get("Rules", {}).values() for each in rule["Assertions"]]
    condition = template["Conditions"].get("DomainGiven", {"Fn::Or": []})
    for name, certificate in itertools.product(["", "credit.example.edu"], ["", "arn"]):
        values = {"DomainName": name, "CertificateArn": certificate}
        if all(holds(rule, values) for rule in rules) != (bool(name) == bool(certificate)):
            found.append("DomainName and CertificateArn could be given one without the other, or not together")
        if bool(name) == bool(certificate) and holds(condition, values) != bool(name):
            found.append("DomainGiven does not say whether there is a domain")
    for kind in ("AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping"):
        if [each.get("Condition") for _, each in of_type(template, kind)] != ["DomainGiven"]:
            found.append(f"a resource of the type {kind} must be there exactly when a domain is given")
    for name, each in of_type(template, "AWS::ApiGatewayV2::DomainName"):
        if any(one.get("SecurityPolicy") != "TLS_1_2" for one in each["Properties"]["DomainNameConfigurations"]):
            found.append(f"{name}: it would speak an old TLS")
    for name, api in of_type(template, "AWS::ApiGatewayV2::Api"):
        if api["Properties"].get("DisableExecuteApiEndpoint") != {"Fn::If": ["DomainGiven", True, False]}:
            found.append(f"{name}: it must answer to AWS's name for it exactly when it has no domain")
    if template["Outputs"].get("ApiOrigin", {}).get("Value") != LEADS_TO:
        found.append("ApiOrigin does not say where the public name must lead")
    return found


LEADS_TO = {
    "Fn::If": ["DomainGiven", {"Fn::GetAtt": ["Domain", "RegionalDomainName"]}, {"Fn::GetAtt": ["Api", "ApiEndpoint"]}]
}


def holds(expression, values):
    """Whether a condition is true with these parameters."""
    [(name, parts)] = expression.items()
    if name == "Fn::Equals":
        left, right = (values[part["Ref"]] if isinstance(part, dict) else part for part in parts)
        return left == right
    truths = [holds(part, values) for part in parts]
    return {"Fn::And": all(truths), "Fn::Or": any(truths), "Fn::Not": not any(truths)}[name]
