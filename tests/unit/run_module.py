# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as Ansible does."""

from __future__ import annotations

import contextlib
import io
import json
import typing as t
from unittest import mock

import pytest
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args


def run_module(main: t.Callable[[], None], check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
    """What the module printed: its result, or its failure with ``failed`` true; ``check`` is check mode."""
    printed = io.StringIO()
    settings = {"_ansible_check_mode": check, "_ansible_diff": True}
    with (
        patch_module_args({**arguments, **settings}),
        # A module has a process of its own, and no warnings of another one.
        mock.patch.object(warnings, "_global_warnings", type(warnings._global_warnings)()),
        contextlib.redirect_stdout(printed),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    # Ansible itself adds ``changed`` to a result without it.
    result: dict[str, t.Any] = {"changed": False, **json.loads(printed.getvalue())}
    assert ended.value.code == (1 if result.get("failed") else 0)
    return result
