"""The rules for the HTTP API: whom it may call and for how long, and where people and mails find it."""

from template_parts import of_type

# API Gateway gives up after thirty seconds, so a function must have answered before.
HTTP_TIMEOUT = 29

AWS_NAME = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
ORIGIN = {"Fn::If": ["OriginGiven", {"Ref": "Origin"}, {"Fn::If": ["DomainGiven", {"Fn::Sub": "https://${DomainName}"}, {"Fn::Sub": AWS_NAME}]}]}
CALLER = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"


def api(template):
    found = []
    functions = dict(of_type(template, "AWS::Serverless::Function"))
    keys = [each["Properties"]["RouteKey"] for _, each in of_type(template, "AWS::ApiGatewayV2::Route")]
    found += [f"the route {key} is there twice" for key in sorted(set(keys)) if keys.count(key) > 1]
    behind = [each["Properties"]["IntegrationUri"]["Fn::GetAtt"][0] for _, each in of_type(template, "AWS::ApiGatewayV2::Integration")]
    allowed = {}
    for name, permission in of_type(template, "AWS::Lambda::Permission"):
        properties = permission["Properties"]
        allowed.setdefault(properties["FunctionName"].get("Ref"), []).append(properties)
        if properties["Principal"] != "apigateway.amazonaws.com" or properties.get("SourceArn") != {"Fn::Sub": CALLER}:
            found.append(f"{name}: somebody else than this stack's API may call the function")
    for name in behind:
        if len(allowed.get(name, [])) != 1:
            found.append(f"{name}: the API may not call it")
        if functions.get(name, {}).get("Properties", {}).get("Timeout", 0) > HTTP_TIMEOUT:
            found.append(f"{name}: the HTTP API gives up after 30 seconds, before the function's Timeout")
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    if variables.get("BURSAR_ORIGIN") != ORIGIN:
        found.append("BURSAR_ORIGIN: links would lead elsewhere than to what is given, the domain, or AWS's name for the API")
    return found
