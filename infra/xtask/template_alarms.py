"""The rules for alarms: each watches a metric that exists and notifies a person, and every failure has one."""

from template_parts import of_type

# The AWS metrics that alarms watch, in AWS's spelling, each with the dimension it is looked up by and its statistic.
METRICS = {
    ("AWS/SQS", "NumberOfMessagesSent"): ("QueueName", "Sum"),
    ("AWS/Lambda", "IteratorAge"): ("FunctionName", "Maximum"),
    ("AWS/Lambda", "Errors"): ("FunctionName", "Sum"),
    ("AWS/Lambda", "Throttles"): ("FunctionName", "Sum"),
    ("AWS/Lambda", "Duration"): ("FunctionName", "Maximum"),
    ("AWS/SES", "Reputation.BounceRate"): (None, "Average"),
    ("AWS/ApiGateway", "5xx"): ("ApiId", "Sum"),
}

# The prefix of this stack's own metrics.
OURS = "${AWS::StackName}/"

# Patterns of the functions' log lines, each with the metric that counts it. Each metric has an alarm.
REFUSED = '{ $.refused = "right" || $.refused = "origin" || $.refused = "form" }'
COUNTED = {
    "claim/WrongCodes": ("ClaimLog", '{ $.refused = "code" }'),
    "claim/RefusedLinks": ("ClaimLog", '{ $.refused = "link" }'),
    "claim/Refused": ("ClaimLog", REFUSED),
    "console/Refused": ("ConsoleLog", REFUSED),
    "threshold-alerts/HoursWithoutSync": ("ThresholdAlertsLog", "{ $.watched IS TRUE && $.hours_without_sync = * }"),
    "threshold-alerts/Watched": ("ThresholdAlertsLog", "{ $.watched IS TRUE }"),
    "mail/Drained": ("MailLog", "{ $.drained IS TRUE }"),
    "mail/LinksUsedUp": ("MailLog", "{ $.links_used_up IS TRUE }"),
    "mail/ReachesNobody": ("MailLog", "{ $.reaches_nobody IS TRUE }"),
}


# Metrics of ours that are no counts of lines: their statistic. Of these, silence is as bad as the worst value.
MEASURED = {"HoursWithoutSync": "Maximum"}


def alarms(expanded):
    counted = dict(counts(expanded))
    found, watched = [], []
    for name, alarm in of_type(expanded, "AWS::CloudWatch::Alarm"):
        properties = alarm["Properties"]
        metric = (spelled(properties.get("Namespace")), properties.get("MetricName"))
        dimensions = [(each["Name"], each["Value"]) for each in properties.get("Dimensions", [])]
        watched += [(*metric, value) for _, value in dimensions or [("", None)]]
        dimension, statistic = METRICS.get(metric, (None, MEASURED.get(metric[1], "Sum")))
        if metric not in METRICS and metric not in counted:
            found.append(f"{name}: AWS does not know the metric, and such an alarm never sounds")
        elif [each for each, _ in dimensions] != ([dimension] if dimension else []):
            found.append(f"{name}: AWS keeps this metric by other dimensions, and such an alarm never sounds")
        if metric == ("AWS/Lambda", "Duration"):
            found += late(expanded, name, properties)
        if properties.get("Statistic") != statistic:
            found.append(f"{name}: its threshold is of the metric's {statistic}")
        is_heartbeat = properties.get("ComparisonOperator", "").startswith("LessThan") or metric[1] in MEASURED
        silence = "breaching" if is_heartbeat else "notBreaching"
        if properties.get("TreatMissingData") != silence:
            found.append(f"{name}: silence must be {silence}")
        if not properties.get("AlarmActions"):
            found.append(f"{name}: nobody hears it")
    for each, line in COUNTED.items():
        function, metric = each.split("/")
        if counted.get((OURS + function, metric)) != line:
            found.append(f"{each}: nothing counts {line[1]} in {line[0]}")
        if (OURS + function, metric, None) not in watched:
            found.append(f"{each}: it has no alarm")
    for name, _ in of_type(expanded, "AWS::Lambda::Function"):
        missing = [each for each in ("Errors", "Throttles", "Duration") if ("AWS/Lambda", each, {"Ref": name}) not in watched]
        found += [f"{name}: nobody hears of its {each}" for each in missing]
    if ("AWS/SES", "Reputation.BounceRate", None) not in watched:
        found.append("nobody hears of mail that comes back")
    for name, _ in of_type(expanded, "AWS::ApiGatewayV2::Api"):
        if ("AWS/ApiGateway", "5xx", {"Ref": name}) not in watched:
            found.append(f"{name}: nobody hears of requests that end in an error of ours")
    return found


def late(expanded, name, properties):
    """An alarm of a function that takes nearly all of its time rings before the time is up, and not long before."""
    function = expanded["Resources"].get(properties["Dimensions"][0]["Value"].get("Ref"), {})
    seconds = function.get("Properties", {}).get("Timeout", 0)
    limit = seconds * 1000 if isinstance(seconds, int) else 0
    fits = 0.85 * limit <= properties.get("Threshold", 0) < limit
    return [] if fits else [f"{name}: it does not ring shortly before the function's Timeout"]


def counts(expanded):
    """Each metric that the template makes of a log, with the log and its pattern."""
    for _, each in of_type(expanded, "AWS::Logs::MetricFilter"):
        for made in each["Properties"]["MetricTransformations"]:
            line = (each["Properties"]["LogGroupName"].get("Ref"), each["Properties"]["FilterPattern"])
            yield (spelled(made["MetricNamespace"]), made["MetricName"]), line


def spelled(namespace):
    return namespace.get("Fn::Sub") if isinstance(namespace, dict) else namespace
