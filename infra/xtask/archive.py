"""Makes one archive of what is published, in which programs stay programs, and which is the same each time it is made of the same.

`archive.py <name> <folder>…`: everything in these folders, with the notes that standard input has, the licences of all crates and the checksums,
as `target/<name>.tar.gz`, and its own checksum beside it.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

LICENCES = ("LICEN", "COPYING", "NOTICE", "UNLICENSE")


def main():
    name, *parts = sys.argv[1:]
    folder = Path("target", name)
    shutil.rmtree(folder, ignore_errors=True)
    for part in parts:
        shutil.copytree(part, folder, dirs_exist_ok=True)
    (folder / "NOTES.md").write_text(sys.stdin.read())
    (folder / "THIRD-PARTY.txt").write_text(licences())
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{checksum(path)}  {path.relative_to(folder)}\n" for path in files))
    # The time of the commit, since `sam` zips nothing that is older than zip itself.
    time = subprocess.run(["git", "log", "-1", "--format=%ct"], check=True, capture_output=True, text=True).stdout.strip()
    packed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", f"--mtime=@{time}", "--mode=u+rwX,go+rX,go-w"]
    archive = folder.with_name(f"{name}.tar.gz")
    subprocess.run(["tar", "--create", "--file", archive, "--use-compress-program", "gzip --no-name", "--directory", "target", *packed, name], check=True)
    archive.with_name(f"{archive.name}.sha256").write_text(f"{checksum(archive)}  {archive.name}\n")


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def licences():
    """Each text once, below the crates whose it is. Some have no text, but its name."""
    metadata = subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True)
    whose = defaultdict(list)
    for package in json.loads(metadata.stdout)["packages"]:
        if package["source"]:
            files = sorted(path for path in Path(package["manifest_path"]).parent.iterdir() if path.is_file() and path.name.upper().startswith(LICENCES))
            for text in [path.read_text(errors="replace") for path in files] or [""]:
                whose[text].append(f"{package['name']} {package['version']}: {package['license']}\n")
    return "".join(f"{''.join(crates)}\n{text}\n\n" for text, crates in whose.items())


if __name__ == "__main__":
    main()
