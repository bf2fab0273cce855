"""May this block run now: granted, refused, or must a person be asked? (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from sre.core.errors import Refused
from sre.runbook.model import Block, Front
from sre.runbook.plan import Plan

__all__ = ["Approval", "Policy", "approve", "check_rehearsal", "refuse_early"]


class Approval(StrEnum):
    """What `approve` says."""

    GRANTED = "granted"
    ASK = "ask"
    REFUSED = "refused"


@dataclass(frozen=True)
class Policy:
    """What the command line allows beforehand.

    Attributes:
        yes: blocks that are not destructive need no question.
        confirm: names that were typed on the command line for destructive blocks.
        manual: answers to manual blocks, by id.
        assume: what to take for granted about a block whose end is not known.
        interactive: there is a person at a terminal who can be asked.
        rehearsal: this is a rehearsal; its targets alone may be touched.
    """

    yes: bool = False
    confirm: frozenset[str] = frozenset()
    manual: Mapping[str, Literal["done", "skip", "failed"]] = field(default_factory=dict)
    assume: Literal["done", "redo"] | None = None
    on_failure: Literal["ask", "rollback", "hold"] = "ask"
    interactive: bool = False
    rehearsal: bool = False


def approve(
    block: Block, values: Mapping[str, str], policy: Policy, front: Front
) -> tuple[Approval, str]:
    """The decision and its reason. Rollbacks need no question of their own: the offer was one."""
    if block.role == "manual":
        return _manual(block, policy)
    if block.role != "run":
        return Approval.GRANTED, ""
    if block.danger == "destructive":
        return _destructive(block, values, policy, front)
    if policy.yes or policy.rehearsal:
        return Approval.GRANTED, "--yes" if policy.yes else "rehearsal"
    if policy.interactive:
        return Approval.ASK, ""
    return Approval.REFUSED, f"{block.key} changes something and nobody can be asked; give --yes"


def _manual(block: Block, policy: Policy) -> tuple[Approval, str]:
    if block.id in policy.manual:
        return Approval.GRANTED, "--answer"
    if policy.interactive:
        return Approval.ASK, ""
    return Approval.REFUSED, f"{block.key} is for a person; give --answer {block.id}=done|skip"


def _destructive(
    block: Block, values: Mapping[str, str], policy: Policy, front: Front
) -> tuple[Approval, str]:
    name = values.get(block.confirm, "")
    if not name:
        return Approval.REFUSED, f"{block.key}: ${block.confirm} has no value to confirm"
    if policy.rehearsal:
        if front.rehearsal is not None and name in front.rehearsal.targets:
            return Approval.GRANTED, f"rehearsal on {name}"
        why = f"{block.key}: {name} is no rehearsal target of this runbook"
        return Approval.REFUSED, f"{why}; add it to rehearsal.targets only if it may be destroyed"
    if name in policy.confirm:
        return Approval.GRANTED, f"--confirm {name}"
    if policy.interactive:
        return Approval.ASK, ""
    why = f"{block.key} is destructive; give --confirm with the value of ${block.confirm}"
    return Approval.REFUSED, why


def check_rehearsal(front: Front, values: Mapping[str, str]) -> None:
    """Raises Refused unless the front matter names the target as one to rehearse on."""
    target = values.get(front.target, "")
    if front.rehearsal is None:
        raise Refused(f"{front.id} names no rehearsal targets; add rehearsal: {{targets: […]}}")
    if target not in front.rehearsal.targets:
        allowed = ", ".join(front.rehearsal.targets)
        raise Refused(
            f"{front.target}={target} is no rehearsal target of {front.id}; those are: {allowed}"
        )


def refuse_early(plan: Plan, values: Mapping[str, str], policy: Policy, front: Front) -> None:
    """Raises Refused, before anything is done, for what would be refused halfway."""
    for block in plan.blocks:
        known = block.when is None or block.when.variable in values
        unconfirmed = block.confirm and block.confirm not in values
        if block.role != "run" or not known or unconfirmed:
            continue
        if block.when is None or block.when.holds(values):
            approval, why = approve(block, values, policy, front)
            if approval is Approval.REFUSED:
                raise Refused(why)
