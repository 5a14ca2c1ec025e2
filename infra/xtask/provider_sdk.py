"""Runs the checks of the provider simulator against a running bundle: `provider_sdk.py <its ready line> <file for the key>`.

The management key is read from the bundle's secret, as the functions do, and handed on in a file that only its owner can read.
"""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

CHECKS = Path(__file__).resolve().parents[2] / "infra/local/checks/openrouter_sdk.py"


def main():
    ready, key_file = json.loads(sys.argv[1]), sys.argv[2]
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(management_key(ready))
    checks = [sys.executable, str(CHECKS), ready["provider"], "--management-key-file", key_file]
    return subprocess.run(checks, check=False).returncode


def management_key(ready):
    request = urllib.request.Request(
        ready["secretsmanager"],
        data=json.dumps({"SecretId": ready["secret"]}).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "secretsmanager.GetSecretValue",
            # The stand-in accepts any credentials.
            "Authorization": f"AWS4-HMAC-SHA256 Credential=any/20261120/{ready['region']}/secretsmanager/aws4_request, "
            "SignedHeaders=host, Signature=0",
        },
    )
    # The address is loopback, so no configured proxy applies.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return json.load(answer)["SecretString"]


if __name__ == "__main__":
    sys.exit(main())
