"""Gates: is everything there that their metric sources need. Nothing is asked; `otagate gate eval` asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from shutil import which

from otagate.errors import OtagateError
from otagate.flow.doctor.model import Check, Trouble, from_error, trouble
from otagate.flow.doctor.patient import Patient
from otagate.policy.model.gates import GateSpec
from otagate.policy.model.sources import CommandSource, Source

GROUP = "gates"


def check_gates(patient: Patient) -> Iterator[Check]:
    """Open the source of each gate and read what it refers to; a command must be there, and is not run."""
    policy = patient.policy
    if policy is None or not policy.gates:
        return
    from otagate.flow.untold import untold  # noqa: PLC0415 - only for a policy with gates

    plugin = patient.facts.plugin_version
    silent = untold(policy.gates, plugin.value if plugin else None)
    for spec in policy.gates:
        if spec.source is None:
            detail = "no source of numbers; a policy with tracks must name one"
            yield Check(GROUP, spec.metric, detail, is_made=False)
            continue
        troubles = tuple(_troubles(patient, spec, spec.source))
        if spec.metric in silent and plugin is not None:
            troubles = (*troubles, trouble("gate.plugin-silent", plugin.source, silent[spec.metric]))
        yield Check(GROUP, spec.metric, "" if troubles else _kind(spec.source), troubles)


def _kind(source: Source) -> str:
    """Give the source's key in a policy: ``google_monitoring`` for ``GoogleMonitoringSource``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(source).__name__.removesuffix("Source")).lower()
    return words.replace("new_relic", "newrelic")


def _troubles(patient: Patient, spec: GateSpec, source: Source) -> Iterator[Trouble]:
    from otagate.gate.sources.registry import open_source, unread  # noqa: PLC0415 - only for a policy with gates

    root, subject = patient.folder, f"{_kind(source)} of gate {spec.metric}"
    try:
        open_source(source, root=root, environ=patient.environ)
    except OtagateError as error:
        yield from_error("gate.source", error, subject)
        return
    for unreadable in unread(source, root=root, environ=patient.environ, subject=subject):
        yield from_error("gate.source", unreadable)
    if isinstance(source, CommandSource) and not _is_there(patient, source):
        what = "the command that counts is not on the PATH, nor a file that can be run"
        yield trouble("gate.source", f"{source.argv[0]}, {subject}", what, fix="install it, or correct `command` of the source")


def _is_there(patient: Patient, source: CommandSource) -> bool:
    program = source.argv[0]
    if "/" in program:
        return which(str(patient.folder / program)) is not None
    return which(program, path=patient.environ.get("PATH", "")) is not None
