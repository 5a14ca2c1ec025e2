"""Mistakes that the check of template.yaml must catch: each is one replacement in its text, and a part of the complaint.

Every replacement must still find its text, so that a list that has fallen behind the template says so.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

import yaml

from template_samples import samples_self_test

MISTAKES = [
    # A name for the mistake, the text, its replacement, and a part of the expected complaint.
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
    ("a cron of Unix", "cron(20 ${SyncHour} * * ? *)", "cron(20 0 * * *)", "has 5 fields"),
    ("a cron without its question mark", "cron(20 ${SyncHour} * * ? *)", "cron(20 0 * * * *)", "must have ?"),
    ("a cron with hours in the place of minutes", "cron(20 ${SyncHour} * * ? *)", "cron(0 20,24 * * ? *)", "runs from 0 to 23"),
    ("a cron of tomorrow", "cron(20 ${SyncHour} * * ? *)", "cron(20 0 ? * TOMORROW *)", "for the day of the week"),
    ("an hour that no day has", "    MaxValue: 23\n", "    MaxValue: 24\n", "runs from 0 to 23"),
    ("an input that is not JSON", """Input: '{"task":"watch"}'""", """Input: '{task: watch}'""", "the input is not JSON"),
    ("a filter that is not JSON", '{"kind":{"S":["pot","reading","totals"]}}}}', '{"kind":{"S":["pot","reading","totals"]}}}', "is not JSON"),
    ("a filter without its list", '{"kind":{"S":["pot","reading","totals"]}}', '{"kind":{"S":"reading"}}', "wants kind"),
    ("a filter on a plain value", '{"kind":{"S":["pot","reading","totals"]}}', '{"kind":["reading","totals"]}', "wants kind"),
    ("a filter on an unknown event", '{"eventName":["INSERT"]', '{"eventName":["ADD"]', "names events that there are not"),
    ("no partial failures", "            FunctionResponseTypes: [ReportBatchItemFailures]\n", "", "without ReportBatchItemFailures"),
    ("dead letters lost", "            MaximumRecordAgeInSeconds: 3600\n            DestinationConfig:\n              OnFailure:\n                Type: SQS\n                Destination:\n                  Fn::GetAtt: [DeadLetters, Arn]\n",
     "            MaximumRecordAgeInSeconds: 3600\n", "a record that is given up on is lost"),
    ("syncs of which nobody says anything", "      MetricName: HoursWithoutSync\n      Statistic: Maximum\n", "      MetricName: HoursWithoutSync\n      Statistic: Sum\n", "SyncBehind: its threshold is of the metric's Maximum"),
    ("dead letters that Lambda may not write", "Action: sqs:SendMessage", "Action: sqs:ReceiveMessage", "its role lacks sqs:SendMessage"),
    ("a stream that Lambda may not read", "                  - dynamodb:GetShardIterator\n", "", "its role lacks dynamodb:GetShardIterator"),
    ("any sender", "ses:FromAddress", "ses:FromAdress", "as any sender"),
    ("an event that SES does not know", "[delivery, bounce, complaint]", "[delivered, bounce, complaint]", "needs all three"),
    ("an alarm on nothing", "NumberOfMessagesSent", "NumberOfMessageSent", "never sounds"),
    ("a third reader of the stream", "        Drain:\n          Type: Schedule\n",
     "        Third:\n          Type: DynamoDB\n          Properties:\n            Stream:\n              Fn::GetAtt: [Table, StreamArn]\n            StartingPosition: LATEST\n        Drain:\n          Type: Schedule\n", "has 3 readers"),
    ("a name that SAM makes too", "        Heard:\n", "        Outcomes:\n", "MailOutcomes"),
    ("two functions for every route", "RouteKey: ANY /console\n", "RouteKey: $default\n", "$default is there twice"),
    ("a route to nothing", "integrations/${ConsoleIntegration}", "integrations/${Consoles}", "Consoles"),
    ("a function that the API may not call", "      FunctionName:\n        Ref: Claim\n", "      FunctionName:\n        Ref: Console\n", "Claim: the API may not call it"),
    ("a function that every API may call", "${Api}/*\n", "*\n", "somebody else than this stack's API"),
    ("a rate that comes before its route", "DependsOn: [AskForLink, FollowLink, TypeCode]", "DependsOn: [AskForLink, FollowLink]", "it would limit TypeCode before"),
    ("links to another place", "- Fn::Sub: https://${DomainName}\n", "- Fn::Sub: http://${DomainName}\n", "links would lead elsewhere"),
    ("a table that goes with the stack", "DeletionPolicy: Retain", "DeletionPolicy: Delete", "deleted with the stack"),
    ("a table that cannot be put back", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "before a mistake"),
    ("a secret in the template", "      Description: The provider's management key, as plain text.\n", "      SecretString: sk-or-v1-0\n", "holds no secret"),
    ("logs for ever", "ClaimLog:\n    Type: AWS::Logs::LogGroup\n    Properties:\n      RetentionInDays:\n        Ref: LogDays\n", "ClaimLog:\n    Type: AWS::Logs::LogGroup\n    Properties: {}\n", "keep logs for ever"),
    ("a rate of a route that there is not", "        POST /link: {", "        POST /lnk: {", "no route POST /lnk"),
    ("a door without a rate of its own", "        POST /code: {ThrottlingRateLimit: {Ref: AskRate}, ThrottlingBurstLimit: {Ref: AskBurst}}\n", "", "flood at POST /code"),
    ("a door that is no route", "RouteKey: 'ANY /c/{proxy+}'", "RouteKey: 'ANY /d/{proxy+}'", "no route ANY /c/{proxy+}"),
    ("a rate without a burst", "{ThrottlingRateLimit: {Ref: AskRate}, ThrottlingBurstLimit: {Ref: AskBurst}}", "{ThrottlingRateLimit: {Ref: AskRate}}", "both a rate and a burst"),
    ("no rate for everything else", "      DefaultRouteSettings: {ThrottlingRateLimit: {Ref: PageRate}, ThrottlingBurstLimit: {Ref: PageBurst}}\n", "", "everything else needs both"),
    ("a burst smaller than a course", "{ThrottlingRateLimit: {Ref: AskRate}, ThrottlingBurstLimit: {Ref: AskBurst}}", "{ThrottlingRateLimit: {Ref: AskRate}, ThrottlingBurstLimit: 100}", "turns away a lecture hall"),
    ("a door as wide as the house", "{ThrottlingRateLimit: {Ref: AskRate},", "{ThrottlingRateLimit: {Ref: PageRate},", "as much as everything else"),
    ("a door that may be made as wide", "    Default: 200\n    MinValue: 10\n    MaxValue: 900\n", "    Default: 200\n    MinValue: 10\n    MaxValue: 2000\n", "POST /link takes as much"),
    ("a door that may be made as wide as it likes", "    Default: 500\n    MinValue: 50\n    MaxValue: 900\n", "    Default: 500\n    MinValue: 50\n", "ANY /c/{proxy+} takes as much"),
    ("a burst that may be made too small", "    Default: 2000\n    MinValue: 1000\n", "    Default: 2000\n    MinValue: 10\n", "everything else turns away a lecture hall"),
    ("logs kept for a time that CloudWatch refuses", "AllowedValues: [7, 14,", "AllowedValues: [8, 14,", "W1030"),
    ("copies kept free of a fixed number", "        Fn::If: [ClaimConcurrencyGiven, {Ref: ClaimConcurrency}, {Ref: AWS::NoValue}]\n", "        Fn::If: [ClaimConcurrencyGiven, 100, {Ref: AWS::NoValue}]\n", "no parameter of its own"),
    ("another function's copies", "Fn::If: [MailConcurrencyGiven, {Ref: MailConcurrency},", "Fn::If: [ClaimConcurrencyGiven, {Ref: ClaimConcurrency},", "Mail: how many may run at once"),
    ("copies kept free in a new account", "AWS wants 100 left unkept.\n    Default: ''", "AWS wants 100 left unkept.\n    Default: '100'", "a new account does not have"),
    ("copies kept free when none are asked for", "- Fn::Equals: [{Ref: ClaimConcurrency}, '']", "- Fn::Equals: [{Ref: ClaimConcurrency}, '0']", "a new account does not have"),
    ("no copies at all", "^([1-9][0-9]{0,3})?$", "^([0-9]{1,4})?$", "with 0 it would never run"),
    ("a certificate without a domain", "            - Fn::And:\n                - Fn::Equals: [{Ref: DomainName}, '']\n", "            - Fn::And:\n                - Fn::Equals: ['', '']\n", "one without the other"),
    ("a domain when there is none", "  DomainGiven:\n    Fn::And:", "  DomainGiven:\n    Fn::Or:\n      - Fn::Equals: ['', '']", "whether there is a domain"),
    ("a domain that is always there", "    Type: AWS::ApiGatewayV2::DomainName\n    Condition: DomainGiven\n", "    Type: AWS::ApiGatewayV2::DomainName\n", "DomainName must be there exactly when"),
    ("a domain that leads nowhere", "    Type: AWS::ApiGatewayV2::ApiMapping\n    Condition: DomainGiven\n", "    Type: AWS::ApiGatewayV2::ApiMapping\n    Condition: SupportGiven\n", "ApiMapping must be there exactly when"),
    ("an old TLS", "SecurityPolicy: TLS_1_2", "SecurityPolicy: TLS_1_0", "old TLS"),
    ("a second name beside the domain", "        Fn::If: [DomainGiven, true, false]\n", "        Fn::If: [DomainGiven, false, true]\n", "exactly when it has no domain"),
    ("a name that leads past the domain", "        - Fn::GetAtt: [Domain, RegionalDomainName]\n", "        - Ref: Domain\n", "where the public name must lead"),
    ("a topic that is not encrypted", "    Type: AWS::SNS::Topic\n    Properties:\n      KmsMasterKeyId:\n        Ref: TopicKey\n", "    Type: AWS::SNS::Topic\n", "MailOutcomes: it has no key of ours"),
    ("AWS's own key for a topic", "      DisplayName: Bursar\n      KmsMasterKeyId:\n        Ref: TopicKey\n", "      DisplayName: Bursar\n      KmsMasterKeyId: alias/aws/sns\n", "OperatorTopic: it has no key of ours"),
    ("a queue that is not encrypted", "      SqsManagedSseEnabled: true\n", "", "what lies in it is not encrypted"),
    ("a key for ever", "EnableKeyRotation: true", "EnableKeyRotation: false", "never rotated"),
    ("a key that SES may not use", "[cloudwatch.amazonaws.com, ses.amazonaws.com]", "[cloudwatch.amazonaws.com]", "what ses.amazonaws.com publishes is lost"),
    ("a key that encrypts only", "              - kms:Decrypt\n              - kms:GenerateDataKey*\n", "              - kms:GenerateDataKey*\n", "what cloudwatch.amazonaws.com publishes is lost"),
    ("a key under a condition that SES need not meet", "              - kms:GenerateDataKey*\n            Resource: '*'\n", "              - kms:GenerateDataKey*\n            Resource: '*'\n            Condition: {StringEquals: {aws:SourceAccount: {Ref: AWS::AccountId}}}\n", "what AWS does not promise"),
    ("a key for anybody", "              AWS:\n                Fn::Sub: arn:${AWS::Partition}:iam::${AWS::AccountId}:root\n", "              AWS: '*'\n", "somebody else than the account"),
    ("a key that nobody governs", "            Action: kms:*\n", "            Action: kms:DescribeKey\n", "nobody could ever change it"),
    ("every partition to a function that faces strangers", "dynamodb:LeadingKeys: ['A#*', ACCOUNT, 'L#*', META, 'N#*', 'O#*', 'RATE#*', 'SENT#*']", "dynamodb:LeadingKeys: ['*']", "MailRole: it reaches into every partition"),
    ("partitions that nothing limits", "                Condition:\n                  ForAllValues:StringLike:\n                    dynamodb:LeadingKeys: ['A#*', ACCOUNT, 'G#*', 'L#*', META, 'N#*', 'O#*', 'P#*', 'REFRESH#*', RULES, 'S#*', 'U#*']\n", "", "ClaimRole: it reaches into every partition"),
    ("partitions of which one is enough", "ForAllValues:StringLike", "ForAnyValue:StringLike", "ClaimRole: it reaches into every partition"),
    ("a denial that became a right", "Effect: Deny", "Effect: Allow", "UsageSyncRole: it does not deny every session"),
    ("a denial of another partition", "['S#*']", "['SESSION#*']", "it does not deny every session"),
    ("a denial of everything without a key", "ForAnyValue:StringLike", "ForAllValues:StringLike", "it does not deny every session"),
    ("a denial that leaves out the indexes", "                  - Fn::Sub: ${Table.Arn}/index/*\n", "", "it does not deny every session"),
    ("a denial of reading alone", "                Effect: Deny\n                Action: dynamodb:*\n", "                Effect: Deny\n                Action: dynamodb:GetItem\n", "it does not deny every session"),
    ("a denial of one way to write", "                Effect: Deny\n                Action:\n                  - dynamodb:PutItem\n                  - dynamodb:UpdateItem\n",
     "                Effect: Deny\n                Action:\n                  - dynamodb:PutItem\n", "ThresholdAlertsRole: it does not deny changing the list"),
    ("a denial of a list that there is not", "[PROGRAMMES]", "[PROGRAMS]", "it does not deny changing the list"),
    ("a denial that takes a right away", "              - Sid: Stream\n                Effect: Allow\n", "              - Sid: Stream\n                Effect: Deny\n", "its role lacks dynamodb:DescribeStream"),
    ("a denial that nobody asked for", "              - Sid: Due\n                Effect: Allow\n", "              - Sid: Due\n                Effect: Deny\n", "ConsoleRole: it denies what no rule knows"),
    ("a line that nothing counts", """'{ $.refused = "code" }'""", """'{ $.refused = "codes" }'""", "claim/WrongCodes: nothing counts"),
    ("a line that is counted from another log", "        Ref: ConsoleLog\n      FilterPattern", "        Ref: ClaimLog\n      FilterPattern", "console/Refused: nothing counts"),
    ("a refusal that is left out", """ || $.refused = "form" }'""", " }'", "claim/Refused: nothing counts"),
    ("a flag that is compared with a word", "$.links_used_up IS TRUE", '$.links_used_up = "true"', "mail/LinksUsedUp: nothing counts"),
    ("a line that is counted and not heard", "      MetricName: RefusedLinks\n      Statistic", "      MetricName: WrongCodes\n      Statistic", "claim/RefusedLinks: it has no alarm"),
    ("an alarm on a metric of another stack", "      Namespace:\n        Fn::Sub: ${AWS::StackName}/mail\n      MetricName: LinksUsedUp", "      Namespace: mail\n      MetricName: LinksUsedUp", "mail/LinksUsedUp: it has no alarm"),
    ("errors that nobody hears of", "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Mail}}]", "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]", "Mail: nobody hears of its Errors"),
    ("throttles that nobody hears of", "      MetricName: Throttles\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]", "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]", "Claim: nobody hears of its Throttles"),
    ("a metric of the older kind of API", "MetricName: 5xx", "MetricName: 5XXError", "never sounds"),
    ("a dimension of the older kind of API", "Name: ApiId", "Name: ApiName", "by other dimensions"),
    ("an alarm of the API on a function", "Value: {Ref: Api}", "Value: {Ref: Claim}", "Api: nobody hears of requests"),
    ("an average of ones", "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]\n      Statistic: Sum\n",
     "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]\n      Statistic: Average\n", "ClaimErrors: its threshold is of the metric's Sum"),
    ("an alarm that silence rings", "TreatMissingData: notBreaching", "TreatMissingData: breaching", "silence must be notBreaching"),
    ("an alarm that tells nobody", "      AlarmActions: [{Ref: OperatorTopic}]\n", "", "nobody hears it"),
    ("a parameter that the console forgets", "Parameters: [MailFrom]", "Parameters: []", "MailFrom: the console asks for it 0 times"),
    ("a parameter that takes anything", "    AllowedValues: [arm64, x86_64]\n", "", "Architecture: a wrong value would be found"),
    ("an access log that nobody asked for", "    Default: 'off'\n", "    Default: 'on'\n", "nobody asked for a log"),
    ("an access log of paths", '"route":"$context.routeKey"', '"route":"$context.path"', "otherwise than agreed"),
    ("an access log of people", '"route":"$context.routeKey"', '"who":"$context.identity.sourceIp","route":"$context.routeKey"', "otherwise than agreed"),
    ("records that nobody waits for", "            MaximumRecordAgeInSeconds: 3600\n", "", "without a MaximumRecordAgeInSeconds"),
    ("a table without a key of the account", "        SSEEnabled: true\n", "        SSEEnabled: false\n", "who had it opened"),
    ("a table under another name in the template", "  Table:\n    Type: AWS::DynamoDB::Table", "  Items:\n    Type: AWS::DynamoDB::Table", "Table: a deployed stack would lose"),
    ("a table with another key", "- {AttributeName: sk, KeyType: RANGE}", "- {AttributeName: due, KeyType: RANGE}", "another KeySchema replaces it"),
    ("a table with a name of its own", "      BillingMode: PAY_PER_REQUEST\n", "      BillingMode: PAY_PER_REQUEST\n      TableName: bursar\n", "another TableName replaces it"),
    ("a secret with a name of its own", "      Description: The provider's management key, as plain text.\n", "      Name: key\n", "another Name replaces it"),
    ("a function that is slow and nobody hears of it", "      MetricName: Duration\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]",
     "      MetricName: Errors\n      Dimensions: [{Name: FunctionName, Value: {Ref: Claim}}]", "Claim: nobody hears of its Duration"),
    ("an alarm after the time is up", "Threshold: 26000", "Threshold: 29000", "shortly before the function's Timeout"),
    ("bounces that nobody hears of", "MetricName: Reputation.BounceRate", "MetricName: Reputation.ComplaintRate", "nobody hears of mail that comes back"),
    ("a tag that plain YAML does not know", "Ref: Origin", "!Ref Origin", "!Ref"),
    ("a key that is there twice", "      Timeout: 900\n", "      Timeout: 900\n      Timeout: 90\n", "is there twice"),
]  # fmt: skip


def self_test(text, complaints):
    """Makes each mistake alone, and says what caught it; returns 1 if nothing caught one."""
    failed = [f"the template as it is: {complaint}" for complaint in complaints(text)]
    failed += samples_self_test(yaml.safe_load(text))
    with ProcessPoolExecutor() as pool:
        tried = list(pool.map(try_one, repeat(complaints), repeat(text), MISTAKES))
    for title, caught, failure in tried:
        if caught:
            print(f"template: {title}: {' '.join(caught.split())[:WIDTH]}", file=sys.stderr)
        else:
            failed.append(f"{title}: {failure}")
    for each in failed:
        print(f"self-test: {each}", file=sys.stderr)
    caught = sum(1 for _, caught, _ in tried if caught)
    print(f"template: {len(MISTAKES)} mistakes made, {caught} caught", file=sys.stderr)
    return 1 if failed else 0


# How much of a complaint is told.
WIDTH = 140


def try_one(complaints, text, mistake):
    """A mistake's name, the complaint that catches it, and why none does."""
    title, right, wrong, expected = mistake
    if right not in text:
        return title, None, "the template no longer has the text it starts from"
    found = []
    for complaint in complaints(text.replace(right, wrong, 1)):
        if expected in complaint:
            return title, complaint, None
        found.append(complaint)
    return title, None, f"no complaint with {expected!r} among {found}"
