# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Private to this collection.
"""What every module of the collection does the same way."""

from __future__ import annotations

import typing as t

from ansible_collections.lifeboat.cloud.plugins.module_utils._errors import LifeboatError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ansible.module_utils.basic import AnsibleModule


def refuse_given(module: AnsibleModule, names: Iterable[str], beside: str) -> None:
    """LifeboatError for options of these that are set to something, which ``beside`` has no use for."""
    given = [name for name in names if module.params[name] != module.argument_spec[name].get("default")]
    if given:
        raise LifeboatError(beside, f"{', '.join(given)} with it", "none of them", f"Leave {' and '.join(given)} out.")


def refuse_no_time(options: Mapping[str, float]) -> None:
    """LifeboatError for a bound, by the name of its option, that would have passed before anything is looked at."""
    for name, value in options.items():
        if not value > 0:
            raise LifeboatError(name, f"{value:g}", "more than 0", "Correct the option, or leave it out.")


def run_module(module: AnsibleModule, work: Callable[[AnsibleModule], dict[str, t.Any]]) -> t.NoReturn:
    """Do ``work`` and exit with its result; a LifeboatError becomes the module's failure message."""
    try:
        result = work(module)
    except LifeboatError as error:
        module.fail_json(
            msg=str(error),
            thing=error.thing,
            found=error.found,
            expected=error.expected,
            remedy=error.remedy,
            **error.more,
        )
    module.exit_json(**result)
    raise AssertionError("exit_json does not return")
