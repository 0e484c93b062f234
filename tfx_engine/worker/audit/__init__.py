"""The toggle audit: proves on copies of a run's own model that each technique does what its file claims.

Every claim has one proof, by the kind of the claim; which technique makes it is no matter here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques import claims
from tfx_engine.techniques.claims import Claim
from tfx_engine.techniques.counts import chosen
from tfx_engine.techniques.technique import Technique
from tfx_engine.worker.audit import (
    adapters,
    memory,
    numbers,
    parts,
    references,
    sameness,
    trained,
    visibility,
)
from tfx_engine.worker.audit.case import Case
from tfx_engine.worker.audit.crash import crashed
from tfx_engine.worker.audit.finding import Evidence, Finding, Untried, untried
from tfx_engine.worker.audit.stand import Stand

BUDGET_S = 10.0  # after which no further claim is tried

Proof = Callable[[Case, Any], Evidence]
PROOFS: dict[type[Claim], Proof] = {
    claims.Same: sameness.same, claims.SameCompiled: sameness.same_compiled,
    claims.SameSteps: adapters.same_steps, claims.KeepsLess: memory.keeps_less,
    claims.RunsAgain: memory.runs_again, claims.TrainsOnly: trained.trains_only,
    claims.EveryGradient: trained.every_gradient, claims.MovesAll: adapters.moves_all,
    claims.BeginsAtBase: adapters.begins_at_base, claims.Merges: adapters.merges, claims.Near: numbers.near,
    claims.Hides: visibility.hides, claims.Shows: visibility.shows, claims.NoLeak: visibility.no_leak,
    claims.TellsOrder: parts.tells_order, claims.TellsNoOrder: parts.tells_order, claims.UnitSize: parts.unit_size,
    claims.Normed: parts.normed, claims.Bounded: parts.bounded, claims.Shares: parts.shares,
    claims.OwnTable: parts.own_table, claims.Routes: parts.routes, claims.Quiet: parts.quiet,
    claims.Limits: numbers.limits, claims.Schedules: numbers.schedules, claims.Begins: numbers.begins,
    claims.Reference: lambda case, claim: references.reference(case),
}
_NO_TIME = tr_mark("There was no time left for it: the audit may take {seconds} s.")


def audit(stand: Stand, budget_s: float = BUDGET_S, slots: Collection[str] = ()) -> Iterator[Finding]:
    """What comes of trying every claim of the configuration's techniques, or of those in `slots`, one by one.

    What techniques say of themselves comes first; that they compute what their references do follows, time permitting.
    """
    begun_s = time.perf_counter()
    cases = [Case(technique, options, stand) for technique, options in chosen(stand.full)]
    cases = [case for case in cases if not slots or case.technique.slot in slots]
    tries = [(case, claim) for case in cases for claim in claimed(case.technique, case.options)]
    tries += [(case, claims.Reference()) for case in cases if case.technique.slot in references.PAIRS]
    for case, claim in tries:
        if time.perf_counter() - begun_s > budget_s:
            evidence = untried("no-time", _NO_TIME, seconds=round(budget_s))
        else:
            evidence = tried(case, claim)
        if evidence.code != references.NOWHERE:
            yield Finding(case.technique.slot, case.technique.name, claim.name, evidence)


def claimed(technique: Technique, options: Any) -> list[Claim]:
    """The claims of a technique's file that mean something with these options and that are to be tried."""
    return [c for c in technique.claims if type(c) in PROOFS and (not c.when or getattr(options, c.when))]


def tried(case: Case, claim: Claim) -> Evidence:
    """The evidence; where trying fails, why."""
    try:
        return PROOFS[type(claim)](case, claim)
    except Untried as error:
        return error.evidence
    except Exception as error:
        return crashed(case, claim, error)
    finally:
        if case.stand.device.type == "cuda":
            torch.cuda.empty_cache()
