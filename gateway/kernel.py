"""The kernel that the settings choose. What durable_rules leaves to the native one is logged and counted."""

import asyncio
import os
import sys
from typing import NoReturn

from engine.kernels import durable
from engine.kernels.choice import run_on
from engine.kernels.durable import Durable, Unavailable
from engine.reading import Finding
from engine.ruleset import RuleSet
from gateway import metrics
from gateway.log import log
from gateway.settings import Configured
from normalizer.errors import ConfigError


def running(configured: Configured, ruleset: RuleSet) -> RuleSet:
    """The rules on the configured kernel. Raises ConfigError if it cannot be had here."""
    try:
        made = run_on(ruleset, configured.settings.kernel, _told)
    except Unavailable as e:
        raise ConfigError(configured.document.where("kernel"), str(e), "kernel: native") from e
    if isinstance(made.kernel, Durable):
        metrics.kernel_loads.set(durable.loads())
        for left in made.kernel.outside:
            log.warning("a rule is left to the native kernel", where=str(left.where), hint=f"{left.unit}: {left.why}")
    return made


def findings(ruleset: RuleSet) -> list[Finding]:
    """The rules that durable_rules would leave to the native kernel, as warnings."""
    return [
        Finding(left.where, "kernel", f"{left.unit!r} is decided by the native kernel: {left.why}",
                "write it as several rules", "warning")
        for left in durable.left_out(ruleset.stages)
    ]  # fmt: skip


async def wear(configured: Configured) -> None:
    """Until this process should start afresh: durable_rules keeps memory of every set it was ever given."""
    while True:
        await asyncio.sleep(1)
        if worn(configured):
            break
    log.warning("the rules were loaded often enough into durable_rules; starting afresh", kernel="durable")


def worn(configured: Configured) -> bool:
    return configured.settings.kernel == "durable" and durable.loads() > configured.settings.kernel_reloads


def afresh() -> NoReturn:
    """Become a new process with the same command line; systemd and containers see the same one."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606, ourselves


def _told(reason: str) -> None:
    metrics.kernel_fallbacks.labels(reason).inc()
    if reason == "failed":
        log.warning("durable_rules failed; the native kernel decided")
