# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""Documentation of what every module of the collection promises."""

from __future__ import annotations


class ModuleDocFragment:
    """C(lifeboat.cloud._attributes): truthful check and diff mode; C(lifeboat.cloud._attributes.info): reads only."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return the status it would reach without changing anything.
  diff_mode:
    support: full
    description: Returns what has changed, or would change in C(check_mode), when run with C(--diff).
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Only reads; does the same in C(check_mode).
  diff_mode:
    support: N/A
    description: Nothing is changed.
"""
