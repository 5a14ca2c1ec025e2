"""Mistakes that the check of template.yaml must catch: each is one replacement in its text, and a part of the complaint.

Every replacement must still find its text, so that a list that has fallen behind the template says so.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

MISTAKES = [
    # What is wrong, the text, what replaces it, and what the complaint must contain.
    ("an action that does not exist", "dynamodb:ConditionCheckItem", "dynamodb:CheckItem", "W3037"),
    ("an action's pattern", "- dynamodb:Query\n", "- dynamodb:*\n", "dynamodb:* is a pattern"),
    ("a scan", "- dynamodb:GetItem\n", "- dynamodb:Scan\n", "dynamodb:Scan is more than any function needs"),
    ("everything as resource", "Action: sqs:SendMessage\n                Resource:\n                  Fn::GetAtt: [DeadLetters, Arn]",
     "Action: sqs:SendMessage\n                Resource: '*'", "sqs:SendMessage on every resource"),
    ("an action on another service's resource", "Action: secretsmanager:GetSecretValue\n                Resource:\n                  Ref: ManagementKey",
     "Action: secretsmanager:GetSecretValue\n                Resource:\n                  Fn::GetAtt: [Table, Arn]", "does not act on Table"),
    ("a managed policy", "ClaimRole:\n    Type: AWS::IAM::Role\n    Properties:\n",
     "ClaimRole:\n    Type: AWS::IAM::Role\n    Properties:\n      ManagedPolicyArns: ['arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess']\n", "a managed policy is wider"),
    ("a role left to SAM", "      Role:\n        Fn::GetAtt: [ClaimRole, Arn]\n", "", "SAM would make a role"),
    ("another function's role", "Fn::GetAtt: [ClaimRole, Arn]", "Fn::GetAtt: [ConsoleRole, Arn]", "share a role"),
    ("a reference to nothing", "Ref: OpenRouterBaseUrl", "Ref: OpenRouterUrl", "OpenRouterUrl"),
    ("a reference to nothing, in a substitution", "${Table.Arn}/index/due", "${Tabel.Arn}/index/due", "Tabel"),
    ("an attribute that does not exist", "Fn::GetAtt: [Table, StreamArn]", "Fn::GetAtt: [Table, StreamARN]", "StreamARN"),
    ("a condition that does not exist", "Fn::If: [SupportGiven,", "Fn::If: [SupportIsGiven,", "SupportIsGiven"),
    ("a parameter that nobody reads", "OPENROUTER_BASE_URL:\n          Ref: OpenRouterBaseUrl\n", "OPENROUTER_BASE_URL: https://openrouter.ai/api/v1\n", "OpenRouterBaseUrl"),
    ("a misspelt property of a function", "MemorySize: 512", "MemorySice: 512", "MemorySice"),
    ("a misspelt property of a stream reader", "MaximumBatchingWindowInSeconds", "MaximumBatchingWindowSeconds", "MaximumBatchingWindowSeconds"),
    ("a misspelt property of a plain resource", "BillingMode", "BilingMode", "BilingMode"),
    ("a value that does not exist", "NEW_AND_OLD_IMAGES", "OLD_AND_NEW_IMAGES", "OLD_AND_NEW_IMAGES"),
    ("a value of the wrong kind", "Timeout: 80", "Timeout: soon", "soon"),
    ("an attribute that is no key", "- {AttributeName: due, AttributeType: S}", "- {AttributeName: dew, AttributeType: S}", "due"),
    ("an index key without a type", "        - {AttributeName: queue, AttributeType: S}\n", "", "queue"),
    ("too long for the HTTP API", "Timeout: 29", "Timeout: 31", "gives up after 30 seconds"),
    ("code that nobody builds", "target/lambda/mail/", "target/lambda/male/", "no package under functions/"),
    ("a plural of one", "rate(1 minute)", "rate(1 minutes)", "has a wrong plural"),
    ("a singular of many", "rate(15 minutes)", "rate(15 minute)", "has a wrong plural"),
    ("a rate of seconds", "rate(1 minute)", "rate(30 seconds)", "is neither rate"),
    ("a cron of Unix", "cron(20 0 * * ? *)", "cron(20 0 * * *)", "has 5 fields"),
    ("a cron without its question mark", "cron(20 0 * * ? *)", "cron(20 0 * * * *)", "must have ?"),
    ("a cron with hours in the place of minutes", "cron(20 0 * * ? *)", "cron(0 20,24 * * ? *)", "runs from 0 to 23"),
    ("a cron of tomorrow", "cron(20 0 * * ? *)", "cron(20 0 ? * TOMORROW *)", "for the day of the week"),
    ("an input that is not JSON", """Input: '{"task":"watch"}'""", """Input: '{task: watch}'""", "the input is not JSON"),
    ("a filter that is not JSON", '{"kind":{"S":["pot","reading","totals"]}}}}', '{"kind":{"S":["pot","reading","totals"]}}}', "is not JSON"),
    ("a filter without its list", '{"kind":{"S":["pot","reading","totals"]}}', '{"kind":{"S":"reading"}}', "wants kind"),
    ("a filter on a plain value", '{"kind":{"S":["pot","reading","totals"]}}', '{"kind":["reading","totals"]}', "wants kind"),
    ("a filter on an unknown event", '{"eventName":["INSERT"]', '{"eventName":["ADD"]', "names events that there are not"),
    ("no partial failures", "            FunctionResponseTypes: [ReportBatchItemFailures]\n", "", "without ReportBatchItemFailures"),
    ("dead letters lost", "            MaximumRetryAttempts: 5\n            DestinationConfig:\n              OnFailure:\n                Type: SQS\n                Destination:\n                  Fn::GetAtt: [DeadLetters, Arn]\n",
     "            MaximumRetryAttempts: 5\n", "a record that is given up on is lost"),
    ("dead letters that Lambda may not write", "Action: sqs:SendMessage", "Action: sqs:ReceiveMessage", "its role lacks sqs:SendMessage"),
    ("a stream that Lambda may not read", "                  - dynamodb:GetShardIterator\n", "", "its role lacks dynamodb:GetShardIterator"),
    ("any sender", "ses:FromAddress", "ses:FromAdress", "as any sender"),
    ("an event that SES does not know", "[delivery, bounce, complaint]", "[delivered, bounce, complaint]", "needs all three"),
    ("an alarm on nothing", "NumberOfMessagesSent", "NumberOfMessageSent", "never sounds"),
    ("a third reader of the stream", "        Drain:\n          Type: Schedule\n",
     "        Third:\n          Type: DynamoDB\n          Properties:\n            Stream:\n              Fn::GetAtt: [Table, StreamArn]\n            StartingPosition: LATEST\n        Drain:\n          Type: Schedule\n", "has 3 readers"),
    ("a name that SAM makes too", "        Heard:\n", "        Outcomes:\n", "MailOutcomes"),
    ("two functions for every route", "            Path: /console\n", "            Path: $default\n", "$default"),
    ("a table that goes with the stack", "DeletionPolicy: Retain", "DeletionPolicy: Delete", "deleted with the stack"),
    ("a table that cannot be put back", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "before a mistake"),
    ("a secret in the template", "      Description: The provider's management key, as plain text.\n", "      SecretString: sk-or-v1-0\n", "holds no secret"),
    ("logs for ever", "ClaimLog:\n    Type: AWS::Logs::LogGroup\n    Properties:\n      RetentionInDays: 30\n", "ClaimLog:\n    Type: AWS::Logs::LogGroup\n    Properties: {}\n", "keep logs for ever"),
    ("a tag that plain YAML does not know", "Ref: Origin", "!Ref Origin", "!Ref"),
    ("a key that is there twice", "      Timeout: 900\n", "      Timeout: 900\n      Timeout: 90\n", "is there twice"),
]  # fmt: skip


def self_test(text, complaints):
    """Makes each mistake alone, and says which are not caught."""
    failed = [f"the template as it is: {complaint}" for complaint in complaints(text)]
    with ProcessPoolExecutor() as pool:
        caught = pool.map(is_caught, repeat(complaints), repeat(text), MISTAKES)
        failed += [failure for failure in caught if failure]
    for each in failed:
        print(f"self-test: {each}", file=sys.stderr)
    print(f"template: {len(MISTAKES)} mistakes made, {len(MISTAKES) - len(failed)} caught", file=sys.stderr)
    return 1 if failed else 0


def is_caught(complaints, text, mistake):
    """Why a mistake is not caught, or None."""
    title, right, wrong, expected = mistake
    if right not in text:
        return f"{title}: the template no longer has the text it starts from"
    found = []
    for complaint in complaints(text.replace(right, wrong, 1)):
        if expected in complaint:
            return None
        found.append(complaint)
    return f"{title}: no complaint with {expected!r} among {found}"
