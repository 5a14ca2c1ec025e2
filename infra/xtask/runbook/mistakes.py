"""Mistakes that the check of the runbook must catch: each is one replacement in a document, and a part of the complaint.

Every replacement must still find its text, so that a list that has fallen behind the runbook says so.
"""

import copy
import sys

from runbook.text import documents

# A name for the mistake, the document, its section, the text, its replacement, and a part of the expected complaint.
FIRST, USE, TROUBLE, RESTORE = (f"runbook/{name}.md" for name in ("first", "use", "trouble", "restore"))
ROTATE, PUT_BACK = "Rotate the management key", "Restore the table"
MISTAKES = [
    ("a service that does not exist", FIRST, "Deploy", "aws sns subscribe", "aws sms subscribe", "argument command: Invalid choice"),
    ("an operation that does not exist", USE, ROTATE, "put-secret-value", "put-secret", "argument operation: Invalid choice"),
    ("a misspelt option", USE, ROTATE, "--version-stages AWSPENDING", "--version-stage AWSPENDING,x --stage a", "--stage"),
    ("a required option left out", TROUBLE, "An alarm rings", "--queue-url \"$(resource DeadLetters)\"", "", "--queue-url"),
    ("a misspelt field of an option", RESTORE, PUT_BACK, "StreamViewType=", "StreamView=", "StreamView"),
    ("a value that does not exist", RESTORE, PUT_BACK, "StreamViewType=NEW_AND_OLD_IMAGES", "StreamViewType=NEW_AND_OLD", "StreamViewType knows no"),
    ("a value that does not exist, of an option", RESTORE, PUT_BACK, "--change-set-type IMPORT", "--change-set-type ADOPT", "ChangeSetType knows no"),
    ("a text for a number", RESTORE, PUT_BACK, "--reserved-concurrent-executions 0", "--reserved-concurrent-executions none", "none"),
    ("a field that no answer has", FIRST, "SES out of the sandbox", "Details.ReviewDetails.Status", "Details.Review.Status", "answers no Review"),
    ("a query that is none", TROUBLE, "Mail is paused", "'[SendingEnabled,", "'[SendingEnabled,,", "--query"),
    ("a waiter that does not exist", RESTORE, PUT_BACK, "wait stack-import-complete", "wait stack-imported", "stack-imported"),
    ("a variable that nobody sets", USE, "Remove everything", "TABLE=$(output Table) SECRET=$(resource ManagementKey)", "TABLE=$(output Table)", "SECRET: unbound variable"),
    ("a function that nobody defines", USE, "Sync by hand", "invoke UsageSync", "call UsageSync", "call: command not found"),
    ("a quote that is not closed", TROUBLE, "An alarm rings", "--query 'Messages[].Body'", "--query 'Messages[].Body", "unexpected EOF"),
    ("a resource that the stack lacks", USE, "Sync by hand", "invoke UsageSync", "invoke Sync", "the stack has no Sync"),
    ("an output that the stack lacks", FIRST, "Deploy", "output ApiOrigin", "output ApiHost", "the stack has no output ApiHost"),
    ("a file that is not there", FIRST, "Deploy", "file://infra/stack-policy.json", "file://infra/policy.json", "policy.json"),
    ("a file that nobody made", FIRST, "Deploy", "cat > management-key", "cat > the-key", "management-key"),
    ("a key that is left behind", USE, ROTATE, "rm management-key\n", "", "leaves management-key behind"),
    ("a recipe that does not exist", FIRST, "Deploy", "cargo xtask package", "cargo xtask pack", "no such recipe"),
    ("an option that doctor lacks", USE, "The day before", "--students \"${", "--roster \"${", "doctor has no --roster"),
    ("an option that sam lacks", FIRST, "Deploy", "--guided", "--guide", "not known to have --guide"),
    ("a restored table without its stream", RESTORE, PUT_BACK, "describe-table --table-name \"$RESTORED\" --output json", "describe-time-to-live --table-name \"$RESTORED\"", "restored"),
    ("a parameter that the template lacks", RESTORE, PUT_BACK, "Where `ClaimConcurrency`", "Where `ClaimCopies`", "template.yaml has no ClaimCopies"),
    ("a link that leads nowhere", USE, ROTATE, "(trouble.md#the-key-is-of-another-account)", "(trouble.md#another-account)", "leads nowhere"),
    ("a link to no file", FIRST, "Deploy", "(../../template.yaml)", "(../template.yaml)", "leads nowhere"),
    ("an update that failed, taken for one", RESTORE, PUT_BACK, "aws cloudformation update-stack", "aws cloudformation cancel-update-stack --stack-name \"$STACK\" && echo", "stay stopped"),
    ("an example that would run", FIRST, "Before the first student", "${ADMIN:?", "${ADMIN:-", "no command asks for ADMIN"),
    ("a promise that nothing keeps", TROUBLE, "Mail is paused", "**When.** `AdminsNotReached`", "*Tested.* `AdminsNotReached`", "deploy-test does not"),
    ("a test that nobody is told of", USE, "Sync by hand", "*Tested.*", "", "the runbook does not say so"),
]  # fmt: skip


def self_test(check):
    """Makes each mistake alone, and returns those that are not caught."""
    # None of these is for the linter, which takes seconds each time.
    failed, check.lints = [], False
    for title, document, section, right, wrong, expected in MISTAKES:
        texts = documents()
        if right not in texts[document]:
            failed.append(f"{title}: the runbook no longer has the text it starts from")
            continue
        texts[document] = texts[document].replace(right, wrong, 1)
        found = check.complaints(texts, [section])
        if not any(expected in each for each in found):
            failed.append(f"{title}: no complaint with {expected!r} among {found}")
    failed += wrong_answers(check)
    for each in failed:
        print(f"self-test: {each}", file=sys.stderr)
    print(f"runbook: {len(MISTAKES) + len(ANSWERS)} mistakes made, {len(MISTAKES) + len(ANSWERS) - len(failed)} caught", file=sys.stderr)
    return 1 if failed else 0


# Mistakes in one recorded answer of doctor: what is done to it, and a part of the complaint.
COMMAND = "sns list-subscriptions-by-topic"
ANSWERS = [
    ("a field that the service lacks", lambda answer: answer["Subscriptions"][0].update(Confirmed=True), "Confirmed is not in the model"),
    ("a value of another kind", lambda answer: answer.update(Subscriptions="none"), "is no list"),
    ("an answer that is missing", None, "no answer is recorded"),
]  # fmt: skip


def wrong_answers(check):
    check.commands.wrong([*COMMAND.split(), "--topic-arn", "arn:aws:sns:eu-central-1:123456789012:topic"])
    models = {COMMAND: check.commands.operation}
    right = {COMMAND: {"fine": {"Subscriptions": [{"SubscriptionArn": "PendingConfirmation"}]}}}
    failed = [f"an answer that is right: {each}" for each in check.recorded(models, right)]
    for title, change, expected in ANSWERS:
        recorded = copy.deepcopy(right) if change else {}
        if change:
            change(recorded[COMMAND]["fine"])
        found = check.recorded(models, recorded)
        if not any(expected in each for each in found):
            failed.append(f"{title}: no complaint with {expected!r} among {found}")
    return failed
