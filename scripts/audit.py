"""Look up the known vulnerabilities of packages: of pins, or of what is installed in a folder.

    python scripts/audit.py envs/requirements.txt envs/dev.txt
    python scripts/audit.py --path .venv/lib/python3.11/site-packages

It needs pip-audit in its environment; `make audit` makes one. Its status is 0 if nothing is known, 1 if a
vulnerability is known, and 3 if some package could not be looked up, as without the vulnerability service.
pip-audit itself ends with 0 or 1 then, as with and without vulnerabilities.
"""

from __future__ import annotations

import json
import subprocess
import sys

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3


def audit(*options: str) -> tuple[int, str]:
    """Return the status, and the lines to print.

    Args:
        options: pip-audit's, which say where the packages are listed.
    """
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return UNKNOWN, f"audit: nothing could be looked up: {reason}"
    found = [
        f"{package['name']} {package['version']}: {known['id']}, "
        f"fixed in {', '.join(known['fix_versions']) or 'no version'}"
        for package in packages
        for known in package.get("vulns", ())
    ]
    skipped = [package for package in packages if "skip_reason" in package]
    if skipped:
        found.append(
            f"audit: {len(skipped)} of {len(packages)} packages could not be looked up, so this is no clean "
            f"bill; can the vulnerability service be reached? {skipped[0]['skip_reason']}"
        )
    else:
        found.append(f"audit: {len(packages)} packages looked up")
    if len(found) > 1:
        return VULNERABLE, "\n".join(found)
    return (UNKNOWN if skipped else CLEAN), found[0]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--path"]:
        status, lines = audit("--skip-editable", *arguments)
    else:
        pins = [word for path in arguments for word in ("--requirement", path)]
        status, lines = audit("--no-deps", "--disable-pip", *pins)
    print(lines, file=sys.stderr if status else sys.stdout)
    sys.exit(status)
