"""Tracks and gates of a first policy, as text: the usual ones, or those that fit so many phones. Pure."""

from __future__ import annotations

from otagate.flow.init_fleet import CHANNELS, FEWER, JUDGED_BY, LEAST_SAMPLE, Fitted, Sight, Step, sight
from otagate.flow.rehearse.usual import CRASH_RATE

_USUAL_NOTE = """\
# Gates need devices. `internal` has too few to judge: there it is enough that none of them failed. crash_rate wants 300, which
# are 5% of 6,000 phones on `stable`; with fewer than 7,200 begin with a higher weight. `otagate rehearse --devices N` plays it.
"""
_FITTED_NOTE = """\
# Gates need devices. This fits {devices:,} {phones} the app within a week, most of them daily
# (`otagate init --devices {devices}`). {internal:.0%} are supposed to follow `internal`, {beta:.0%} `beta`, {stable:.0%}
# `stable`. Play it through with `otagate rehearse --devices {devices}`, and with `--sessions 0.5` where most open the app every
# other day: docs/rollouts.md says what to change then. Write other numbers where yours are other ones.
# {wanted}
# What crash_rate sees at the end of a soak, if all these phones were heard of by then
# (`otagate gate power --metric crash_rate --devices PHONES --rate {usual}`):
#
#                               of the releases that crash on
#                                   so many, it    {usual}, it
#   channel   weight     phones       stops 95%          stops
"""
_ROW = "#   {channel:<8}  {weight:>5}%  {devices:>9,}  {caught:>14}  {accident:>13}{mark}\n"
_FEW_NOTE = """\
#
# * Perhaps too few to judge a share. With fewer than {sample}, after a day more it is enough that some were heard of and none
#   of them failed (pass_if_zero_bad); while none is heard of, nothing goes on. A single failure pauses, and a person decides.
#   A fault on a smaller share than the column says may pass unseen (`gate power --min-sample PHONES`): ask those who have it.
"""
_FEW_TESTERS_NOTE = """\
#
# Should `internal` have fewer than crash_rate wants, it is enough there that some were heard of and none of them failed.
"""
_TRACK = """\
tracks:
  production:
    - {{phase: internal, channel: internal, soak: 24h, {internal}on_insufficient: pass_if_zero_bad}}
    - {{phase: beta, channel: beta, soak: 24h{beta}}}
    - {{phase: stable, channel: stable, weights: [{weights}], soak: 24h{stable}, approve: true}}
"""
_USUAL_WEIGHTS = (5, 25, 50, 100)
_BRIEF, _PATIENT = "max_wait: 1h, ", "max_wait: 24h, "
_ZERO_BAD = f", {_PATIENT}on_insufficient: pass_if_zero_bad"
_QUIET = """
# Of so few phones none may be opened for hours, as at night, and the first may tell of the release a day later. That is a
# reason to wait, and not yet to pause. The price: numbers that stop coming pause a rollout after up to three days, not after
# eight hours. A source that fails still does after two hours.
evaluation: {max_staleness: 24h, no_data_grace: 48h}
"""
_USUAL_GATES_NOTE = """\
# The default gates. Change a threshold by writing the gates that you want here; those that are not named are then off.
"""
_FITTED_GATES_NOTE = """\
# The default gates, but for min_sample of {metrics}. Gates that are not named here are off.
"""
_GATES = """\
gates:
  crash_rate: {{max: 2%, action: pause, min_sample: {crash_rate}, escalate: {{above: 10%, action: rollback}}}}
  error_rate: {{max: 0.5%, action: alert, min_sample: 1000}}
  device_success_rate: {{min: 85%, target: 98%, action: rollback, min_sample: 30, maturity: 30m}}
  rollout_completion: {{min: 95%, target: 98%, action: alert, evaluate: phase_end, maturity: 24h}}
  verification_time:
{verification_time}    limits:
      - {{over: 45s, max_share: 5%, action: alert}}
      - {{over: 120s, max_share: 5%, action: pause}}
  adoption_24h: {{min: 50%, target: 75%, action: alert, maturity: 24h}}
"""


def rollout_text(fitted: Fitted | None) -> str:
    """Write the tracks and what is said of them, ``evaluation`` too where it is needed; None: as for an unknown fleet."""
    if fitted is None:
        return _USUAL_NOTE + _TRACK.format(internal=_BRIEF, beta="", stable="", weights=_percents(_USUAL_WEIGHTS))
    few = [channel for channel in CHANNELS if not fitted.is_judged(channel)]
    track = _TRACK.format(
        internal=_PATIENT if fitted.is_quiet else _BRIEF,
        beta=_ZERO_BAD if "beta" in few else "",
        stable=_ZERO_BAD if "stable" in few else "",
        weights=_percents(fitted.weights),
    )
    rows = "".join(_row(step, sight(fitted, step)) for step in fitted.steps)
    told = _FEW_NOTE.format(sample=fitted.samples[JUDGED_BY]) if few else ""
    told += "" if "internal" in few else _FEW_TESTERS_NOTE
    return _note(fitted) + rows + told + track + (_QUIET if fitted.is_quiet else "")


def gates_text(fitted: Fitted | None) -> str:
    """Write the gates: as a comment where they are the default ones."""
    samples = fitted.samples if fitted is not None else {}
    fewer = f"    min_sample: {samples[FEWER]}\n" if FEWER in samples else ""
    gates = _GATES.format(crash_rate=samples.get(JUDGED_BY, 300), verification_time=fewer)
    if samples:
        return _FITTED_GATES_NOTE.format(metrics=" and ".join(samples)) + gates
    return _USUAL_GATES_NOTE + "".join(f"# {line}\n" for line in gates.splitlines())


def _note(fitted: Fitted) -> str:
    phones = "phone that opens" if fitted.devices == 1 else "phones that open"
    usual = _share(CRASH_RATE)
    return _FITTED_NOTE.format(devices=fitted.devices, phones=phones, wanted=_wanted(fitted), usual=usual, **fitted.shares)


def _wanted(fitted: Fitted) -> str:
    sample = fitted.samples.get(JUDGED_BY)
    if sample is None:
        return "The first step of `stable` has what crash_rate wants, 300 phones, and some to spare."
    if fitted.is_judged(CHANNELS[-1]):
        return f"crash_rate wants {sample} phones (usually 300); the first step of `stable` has some to spare."
    return f"crash_rate wants {sample} phones (usually 300); of fewer than {LEAST_SAMPLE}, one crash is more than its 2%."


def _row(step: Step, seen: Sight) -> str:
    return _ROW.format(
        channel=step.channel,
        weight=step.weight,
        devices=step.devices,
        caught="-" if seen.caught is None else _share(seen.caught),
        accident=f"{100 * seen.accident:.2f}%",
        mark="" if step.is_judged else " *",
    )


def _share(share: float) -> str:
    """Write a share as ``gate power`` does."""
    return f"{100 * share:.4g}%"


def _percents(weights: tuple[int, ...]) -> str:
    return ", ".join(f"{weight}%" for weight in weights)
