"""The runbook's procedures on the emulator: the commands of its text, as they stand, by the real AWS CLI."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runbook.text import ROOT, documents, procedure  # noqa: E402

# The headings that deploy-test runs. The runbook says of these, and of no others, that they are tested.
RESTORE = (
    "Stop the functions",
    "Restore to a new table",
    "Point the stack at it",
    "Let the functions run",
    "Take the table into the stack",
)
TESTED = (
    "Keep it from later mistakes",
    "Put the management key",
    "Sync by hand",
    "Rotate the management key",
    "The day before",
    *RESTORE,
    "Delete what was deleted since",
    "Remove everything",
)


def run(endpoint, region, headings, typed, code=0, **variables):
    """Runs the commands under some headings in one shell, which is to end with a code, and returns what they print."""
    assert set(headings) <= set(TESTED), headings
    environment = {
        # The AWS CLI lies beside this Python.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": os.environ["HOME"],
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # Everything is loopback, so no configured proxy applies.
        "NO_PROXY": "*",
        **{name: value for name, value in os.environ.items() if name.startswith(("CARGO", "RUSTUP"))},
        **variables,
    }
    # From the root of the checkout, as the runbook says.
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", procedure(documents(), *headings)],
        cwd=ROOT,
        env=environment,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert ran.returncode == code, f"{headings} ended with {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout
