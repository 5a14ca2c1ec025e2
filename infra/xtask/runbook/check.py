"""Checks the runbook: runs each block in a real shell, and tries every command on the tool's own parser. Nothing is sent.

`check.py <the binary of xtask> [--self-test]`; `mistakes.py` lists mistakes that must be caught.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

# No bytecode is written, so that this folder stays as it was checked out.
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml  # noqa: E402
from deployed.runbook import TESTED  # noqa: E402
from runbook.commands import Commands, answer_complaints  # noqa: E402
from runbook.shell import SAID, Shell  # noqa: E402
from runbook.text import FIRST, ROOT, blocks, documents, said_to_be_tested, slug  # noqa: E402
from template import PlainLoader, expand, linted  # noqa: E402

ANSWERS = ROOT / "infra/xtask/src/doctor/answers"

# What the runbook asks of these, as the source of aws-sam-cli 1.170.0 and git's own help have it, looked up in November 2026.
SAM = {"deploy": {"--guided": False, "--resolve-s3": False, "--template-file": True, "--stack-name": True, "--capabilities": True, "--parameter-overrides": True}}
GIT = {"fetch": {"--tags": False}, "checkout": {}}

# The stack in which `sam` keeps its bucket, and that.
SAM_STACK = {"aws-sam-cli-managed-default": {"SamCliSourceBucket"}}

# What a command prints where the shell keeps it: long enough for an ARN and the id of a version.
TEXT = "arn:aws:any:eu-central-1:123456789012:any/thing\n"
RESTORED = {
    "TableName": "bursar-restored",
    "TableStatus": "ACTIVE",
    "TableArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/bursar-restored",
    "LatestStreamArn": "arn:aws:dynamodb:eu-central-1:123456789012:table/bursar-restored/stream/2026-11-22T00:00:00.000",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


class Check:
    def __init__(self, xtask):
        self.xtask, self.commands = xtask, Commands()
        self.template = yaml.load((ROOT / "template.yaml").read_text(), PlainLoader)
        self.expanded = expand(self.template)
        self.recipes = set(re.findall(r'(?:name: |\(|== )"([a-z-]+)', (ROOT / "infra/xtask/src/main.rs").read_text()))
        self.usage = subprocess.run([xtask, "doctor"], capture_output=True, text=True, check=False).stderr
        self.shell, self.found, self.tried, self.lints = Shell(self.told, ROOT), [], 0, True

    def complaints(self, texts, sections=None):
        """Everything that is wrong with the runbook, as sentences; of some sections alone where they are named."""
        self.found, everything = [], blocks(texts)
        first = [block.commands for block in everything if block.heading == FIRST]
        names = dict.fromkeys(block.section for block in everything if block.heading != FIRST)
        for section in names if sections is None else sections:
            chosen = [block for block in everything if block.section == section]
            self.restored_table, self.used_table = None, None
            before = len(self.found)
            wrong = self.shell.run("\n".join([*first, *(block.commands for block in chosen)]))
            if wrong:
                self.found.append(wrong)
            self.found[before:] = [f"{chosen[0].document}: {section}: {each}" for each in self.found[before:]]
        return self.found + self.prose(texts)

    def told(self, words, folder):
        """One command of a block. Files are named from the block's folder."""
        self.tried += 1
        os.chdir(folder)
        tool, *rest = words
        try:
            wrong = {"aws": self.aws, "sam": lambda rest: self.listed("sam", SAM, rest), "git": lambda rest: self.listed("git", GIT, rest), "cargo": self.cargo}[tool](rest)
        finally:
            os.chdir(ROOT)
        self.found += [f"{' '.join(words)[:140]}: {each}" for each in wrong]
        return self.answer(words), 0

    def answer(self, words):
        if words[1:3] == ["cloudformation", "get-template"]:
            return json.dumps(self.expanded)
        if words[1:3] == ["dynamodb", "describe-table"]:
            return json.dumps({"Table": RESTORED})
        if words[1:3] == ["cloudformation", "describe-stacks"] and any("UsePreviousValue" in word for word in words):
            return json.dumps([{"ParameterKey": name, "UsePreviousValue": True} for name in self.template["Parameters"]])
        if "Stacks[0].StackStatus" in words:
            return "ROLLBACK_COMPLETE\n"
        if words[1:3] == ["dynamodb", "restore-table-to-point-in-time"]:
            self.restored_table = words[words.index("--target-table-name") + 1]
        if words[1:3] == ["cloudformation", "update-stack"]:
            self.used_table = self.restored_table
        if self.used_table and any("OutputKey=='Table'" in word for word in words):
            return f"{self.used_table}\n"
        if "SamCliSourceBucket" in words:
            return "bucket\n"
        return TEXT if words[0] == "aws" else ""

    def aws(self, words):
        wrong = self.commands.wrong(words)
        if words[:2] == ["lambda", "invoke"]:
            # The file that the CLI would write.
            Path(words[-1]).write_text("{}")
        value = lambda option: words[words.index(option) + 1] if option in words[:-1] else None  # noqa: E731
        logical, stack = value("--logical-resource-id"), value("--stack-name")
        known = SAM_STACK.get(stack, self.expanded["Resources"])
        if logical and logical not in known:
            wrong.append(f"the stack has no {logical}")
        for output in re.findall(r"OutputKey=='([^']*)'", value("--query") or ""):
            if output not in self.template["Outputs"]:
                wrong.append(f"the stack has no output {output}")
        return wrong

    def listed(self, tool, known, words):
        """A command of a tool whose few options are listed here."""
        if not words or words[0] not in known:
            return [f"{tool} is not known to have {words[:1]}"]
        options, wrong, rest = known[words[0]], [], iter(words[1:])
        for word in rest:
            if not word.startswith("--"):
                continue
            if word not in options:
                wrong.append(f"{tool} {words[0]} is not known to have {word}")
            elif options[word]:
                next(rest, None)
        return wrong

    def cargo(self, words):
        if words[:1] != ["xtask"] or len(words) < 2 or words[1] not in self.recipes:
            return ["cargo xtask has no such recipe"]
        if words[1] == "restored":
            return self.restored(words[1:])
        if words[1] == "doctor":
            return [f"doctor has no {word}" for word in words if word.startswith("--") and word not in self.usage]
        return []

    def restored(self, words):
        """The real recipe, on the template as CloudFormation has it; what it makes is linted as a template is."""
        ran = subprocess.run([self.xtask, *words], capture_output=True, text=True, check=False)
        if ran.returncode:
            return [ran.stderr.strip()]
        made = {name: json.loads((ROOT / "target/restored" / f"{name}.json").read_text()) for name in ("pointed", "imported", "parameters")}
        wrong = []
        for name in ("pointed", "imported") if self.lints else ():
            wrong += [f"{name}.json: {each}" for each in linted(made[name]) if not each.startswith(TOLERATED)]
        if re.search(r'"(Ref|Fn::GetAtt)": \[?"Table"|\$\{Table[.}]', json.dumps(made["pointed"])) or "Table" in made["pointed"]["Resources"]:
            wrong.append("pointed.json still names the table")
        if made["imported"]["Resources"].pop("Table", None) != self.expanded["Resources"]["Table"] or made["imported"] != made["pointed"]:
            wrong.append("imported.json differs from pointed.json in more than the table")
        if {each["ParameterKey"] for each in made["parameters"]} != set(self.template["Parameters"]):
            wrong.append("parameters.json does not name every parameter")
        return wrong

    def prose(self, texts):
        """Names, links and paths in the text."""
        known = set(self.expanded["Resources"]) | set(self.template["Resources"]) | set(self.template["Parameters"]) | set(self.template["Outputs"])
        anchors = {name: {slug(title) for title in re.findall(r"(?m)^#+ (.*)$", text)} for name, text in texts.items()}
        found = []
        for name, text in texts.items():
            folder = (ROOT / "infra" / name).parent
            for each in re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)*)`", text):
                if each not in known | {NOTHING}:
                    found.append(f"{name}: template.yaml has no {each}")
            for path in re.findall(r"`([\w.-]+/[\w./-]+)`", text):
                if not path.startswith("target/") and not (ROOT / path).exists():
                    found.append(f"{name}: there is no {path}")
            for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", text):
                path = (folder / target).resolve() if target else ROOT / "infra" / name
                if not path.exists():
                    found.append(f"{name}: the link to {target} leads nowhere")
                elif anchor and anchor not in anchors.get(os.path.relpath(path, ROOT / "infra"), ()):
                    found.append(f"{name}: the link to {target}#{anchor} leads nowhere")
        everything = "".join(texts.values())
        found += [f"no command asks for {name}, which the check sets" for name in SAID if f"${{{name}:?" not in everything]
        said = said_to_be_tested(texts)
        found += [f"{each}: the runbook says that it is tested, and deploy-test does not" for each in sorted(said - set(TESTED))]
        return found + [f"{each}: deploy-test runs it, and the runbook does not say so" for each in sorted(set(TESTED) - said)]

    def doctor(self):
        """The questions of `doctor`, and the answers that its tests are recorded with."""
        asked = subprocess.run([self.xtask, "doctor", "--questions"], capture_output=True, text=True, check=True).stdout
        found, models = [], {}
        for words in map(json.loads, asked.splitlines()):
            found += [f"doctor: {' '.join(words)[:100]}: {each}" for each in self.commands.wrong(words)]
            models[" ".join(words[:2])] = self.commands.operation
        recorded = {command: answers for path in sorted(ANSWERS.glob("*.json")) for command, answers in json.loads(path.read_text()).items()}
        found += self.recorded(models, recorded)
        # What it tells people to look up.
        headings = {title for text in documents().values() for title in re.findall(r"(?m)^##+ (.*)$", text)}
        told = "".join(path.read_text() for path in (ROOT / "infra/xtask/src/doctor").glob("*.rs"))
        named = set(re.findall(r"section ([\w ]+?) (?:of infra/RUNBOOK.md|does)", told))
        return found + [f"doctor: the runbook has no section {each}" for each in sorted(named - headings)]

    def recorded(self, models, recorded):
        found = [f"doctor asks {command}, and no answer is recorded" for command in sorted(set(models) - set(recorded))]
        found += [f"an answer is recorded for {command}, which doctor does not ask" for command in sorted(set(recorded) - set(models))]
        for command in set(models) & set(recorded):
            for name, answer in recorded[command].items():
                found += [f"the answer {command}, {name}: {each}" for each in answer_complaints(models[command].output_shape, answer)]
        return found


# A name in the place of a reference is what the pointed template is for, until the table is taken in.
TOLERATED = ("I3042", "W1020")

# What the CLI prints where an answer has no such field.
NOTHING = "None"


def main():
    check = Check(sys.argv[1])
    try:
        if "--self-test" in sys.argv:
            from runbook.mistakes import self_test

            return self_test(check)
        found = check.complaints(documents()) + check.doctor()
    finally:
        check.shell.close()
    for each in found:
        print(f"runbook: {each}", file=sys.stderr)
    print(f"runbook: {check.tried} commands tried, {len(found)} complaints", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
