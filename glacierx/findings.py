"""What a check found: a line for people, an object for machines; imports no other library."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from glacierx.errors import CheckError

FAILED = ("problem", "changed", "missing", "differs")
"""States with which a check fails; others are ok, note, same and unknown."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: What was looked at.
        state: ``ok``, ``note`` or ``problem``; of a file ``same``, ``changed``, ``missing`` or
            ``unknown``; of a run that was done again ``same`` or ``differs``.
        text: What was found.
        advice: What to do about it.
    """

    name: str
    state: str
    text: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether something is wrong that matters."""
        return self.state in FAILED


def findings_text(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, its state first."""
    wide = max((len(finding.name) for finding in findings), default=0)
    return "\n".join(
        f"{finding.state:<8} {finding.name:<{wide}}  "
        + " ".join(f"{finding.text} {finding.advice}".split())
        for finding in findings
    )


def findings_json(findings: Sequence[Finding]) -> str:
    """Return the findings as JSON, and whether all is well."""
    record: dict[str, Any] = {
        "ok": not any(finding.failed for finding in findings),
        "findings": [asdict(finding) for finding in findings],
    }
    return json.dumps(record, indent=1) + "\n"


def check_findings(findings: Sequence[Finding]) -> None:
    """Fail where a finding does.

    Raises:
        CheckError: At least one failed; the text names them.
    """
    failed = [finding for finding in findings if finding.failed]
    if failed:
        named = ", ".join(f"{finding.name} ({finding.state})" for finding in failed)
        raise CheckError(f"{len(failed)} of {len(findings)} checks failed: {named}. See above.")
