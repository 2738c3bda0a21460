# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""How long a migration will take and how long the guest will stand still, told before it begins.

The model of pre-copy is that of Clark et al., "Live Migration of Virtual Machines" (NSDI 2005): round 0 sends the whole
memory, round i + 1 what was written during round i, never more than the guest writes to at all::

    V(0) = M        V(i+1) = min(W, D * V(i) / B)        total = sum of V / B + S        downtime = V(n) / B + S

M is the memory that is in use, W the working set that is written to, D the rate at which clean pages become dirty, B
the bandwidth, all in bytes and bytes per second, and S the seconds that switching over takes whatever the size: the
state of the devices, the storage, the port of the network. A round is the last when what is left can be sent within the
allowed downtime, as QEMU decides it. With D below B the rounds shrink and their sum is that of a geometric series.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

Mode = t.Literal["pre-copy", "auto-converge", "post-copy", "cold"]
# QEMU's cpu-throttle-initial, cpu-throttle-increment and max-cpu-throttle as libvirt leaves them, in shares of time.
_THROTTLE_FIRST, _THROTTLE_STEP, _THROTTLE_LAST = 0.2, 0.1, 0.99
# QEMU throttles for the first time, and then further, after every second round that did not get ahead.
_ROUNDS_PER_STEP = 2
# Far beyond what any bound on time allows; it only keeps a round that sends nearly nothing from being repeated forever.
_MOST_ROUNDS = 10_000


@dataclass(frozen=True, slots=True)
class Guest:
    """``memory`` in use and ``working_set`` in bytes, ``dirty_rate`` in bytes per second."""

    memory: float
    dirty_rate: float
    working_set: float | None = None

    @property
    def written(self) -> float:
        """The most that can be dirty at once."""
        return self.memory if self.working_set is None else min(self.memory, self.working_set)


@dataclass(frozen=True, slots=True)
class Path:
    """From host to host: ``bandwidth`` in bytes per second; ``switch_s`` is S; ``reboot_s`` a shutdown and a start."""

    bandwidth: float
    switch_s: float = 0.0
    reboot_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator allows: ``downtime_s`` of standing still, ``total_s`` and ``rounds`` in all, and which modes."""

    downtime_s: float = 0.5
    total_s: float = 600.0
    rounds: int = 100
    auto_converge: bool = True
    post_copy: bool = False
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Prediction:
    """``rounds`` with the last one, ``transferred`` in bytes; without ``converges`` the policy ended the attempt."""

    mode: Mode
    rounds: int
    transferred: float
    total_s: float
    downtime_s: float
    slowdown: float
    converges: bool


def pre_copy(guest: Guest, path: Path, policy: Policy, throttling: bool = False) -> Prediction:
    """Round by round until the rest is small enough, or until the policy forbids another.

    With ``throttling`` the guest gets less and less of its processors while rounds do not shrink; ``slowdown`` is the
    share of their time that it lost in the end. Where it does not converge, the figures are those of its end.
    """
    _check(guest, path, policy)
    volume, transferred, elapsed = guest.memory, 0.0, 0.0
    throttle, stuck = 0.0, 0
    for done in range(min(policy.rounds, _MOST_ROUNDS)):
        if volume / path.bandwidth <= policy.downtime_s:
            downtime = volume / path.bandwidth + path.switch_s
            total, sent = elapsed + downtime, transferred + volume
            return Prediction(_named(throttle), done + 1, sent, total, downtime, throttle, converges=True)
        duration = volume / path.bandwidth
        if elapsed + duration > policy.total_s:
            break
        transferred, elapsed = transferred + volume, elapsed + duration
        dirty = min(guest.written, guest.dirty_rate * (1 - throttle) * duration)
        stuck = stuck + 1 if dirty >= volume / 2 else 0
        if throttling and stuck >= _ROUNDS_PER_STEP:
            throttle = min(_THROTTLE_LAST, throttle + _THROTTLE_STEP) if throttle else _THROTTLE_FIRST
            stuck = 0
        volume = dirty
    downtime = volume / path.bandwidth + path.switch_s
    return Prediction(_named(throttle), policy.rounds, transferred, elapsed, downtime, throttle, converges=False)


def _named(throttle: float) -> Mode:
    return "auto-converge" if throttle else "pre-copy"


def post_copy(guest: Guest, path: Path) -> Prediction:
    """The guest switches over first; every page is then sent once. Whoever loses a side meanwhile loses the guest."""
    _check(guest, path, Policy())
    copying = guest.memory / path.bandwidth
    return Prediction("post-copy", 1, guest.memory, copying + path.switch_s, path.switch_s, 0.0, converges=True)


def cold(guest: Guest, path: Path, disk: float = 0.0) -> Prediction:
    """The guest is shut down, ``disk`` bytes are sent if it has any that the hosts do not share, and it is started."""
    _check(guest, path, Policy())
    seconds = disk / path.bandwidth + path.reboot_s
    return Prediction("cold", 1, disk, seconds, seconds, 0.0, converges=True)


def choose(guest: Guest, path: Path, policy: Policy) -> Prediction:
    """The gentlest mode that the policy allows and that will end, or LifeboatError with what each would need."""
    plain = pre_copy(guest, path, policy)
    if plain.converges:
        return plain
    throttled = pre_copy(guest, path, policy, throttling=True)
    if policy.auto_converge and throttled.converges:
        return throttled
    for allowed, prediction in ((policy.post_copy, post_copy(guest, path)), (policy.cold, cold(guest, path))):
        if allowed and prediction.total_s <= policy.total_s:
            return prediction
    rate, link = round(guest.dirty_rate / 2**20), round(path.bandwidth / 2**20)
    raise LifeboatError(
        "migration",
        f"a guest that writes {rate} MiB/s over a link of {link} MiB/s, whose copy does not end in {policy.total_s} s",
        f"one that stands still for {policy.downtime_s} s at most after {policy.total_s} s at most",
        "Allow more time or downtime, or allow auto-converge, post-copy or a cold migration, or give the link more.",
    )


def _check(guest: Guest, path: Path, policy: Policy) -> None:
    for name, value, positive in (
        ("memory", guest.memory, False),
        ("dirty_rate", guest.dirty_rate, False),
        ("bandwidth", path.bandwidth, True),
        ("switch_s", path.switch_s, False),
        ("downtime_s", policy.downtime_s, True),
        ("total_s", policy.total_s, True),
    ):
        if value < 0 or (positive and value == 0):
            raise LifeboatError(name, str(value), f"a number {'above' if positive else 'of at least'} 0", "Correct it.")
