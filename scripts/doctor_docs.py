"""Write the table of docs/doctor.md from the codes themselves. `--check` only compares; a test does that."""

from __future__ import annotations

import sys
from pathlib import Path

from otagate.flow.doctor.codes import CODES

TARGET = Path(__file__).parent.parent / "docs" / "doctor.md"
HEAD = """\
# otagate doctor

`otagate doctor` looks at everything that a release needs, before it is needed: the machine, the policy, the app, the keys, who
the machine is to each cloud, the stores, the public address, telemetry, the sources of gates, the places of `notify`, what the
channels say, the mirrors, the ledger and the rollouts.
Every problem has a code that does not change, says what is wrong and on what, and names what mends it; where a command does,
the command can be copied.

    otagate doctor                # for people
    otagate doctor --json         # for programs: the schema is otagate/doctor/v1
    otagate doctor --read-only    # writes nothing, not even to try the stores

One check that fails hides no other. What could not be looked at says so, and why: a store that does not answer is asked once.

Without `--read-only` each store is tried with the real operations, on documents below `probe/` and on one blob of a few bytes,
all with random names, which are removed afterwards. On a bucket several writers then try to write the same document at the
same moment: a service that lets two of them through is refused (`store.no-conditional-writes`), because two pipelines could
overwrite each other on it. The same is done once before the first document is written to a bucket; that it passed stands in
`store.json` there, with the name of the service, so that later commands need only read that.

The exit code is 0 when nothing is worse than a warning. Otherwise it is that of the gravest error: 3 when something does not
hold, 2 when something is wrong or missing, 7 when only somebody does not answer.

## Codes

| code | usually | what is wrong | what mends it |
| --- | --- | --- | --- |
"""
TAIL = """
`otagate doctor` shows no secret: of keys only their ids, of identities only where they come from.
"""


def render() -> str:
    rows = [f"| `{name}` | {code.severity.value} | {code.meaning} | {code.fix} |" for name, code in CODES.items()]
    return HEAD + "\n".join(rows) + "\n" + TAIL


def main() -> int:
    if "--check" in sys.argv[1:]:
        return int(TARGET.read_text() != render())
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
