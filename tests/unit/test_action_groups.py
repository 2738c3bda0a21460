# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action group has all modules that share the options of its documentation fragment, and no other."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def fragments(module: Path) -> set[str]:
    """The documentation fragments of a module."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            documentation = yaml.safe_load(ast.literal_eval(node.value))
            return {name.removeprefix("lifeboat.cloud.") for name in documentation["extends_documentation_fragment"]}
    raise AssertionError(f"{module} has no documentation")


def test_a_group_has_the_modules_that_share_its_options() -> None:
    groups = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    shared: dict[str, list[str]] = {name: [] for name in ("ceph", "libvirt", "openstack")}
    for module in sorted((ROOT / "plugins/modules").glob("*.py")):
        for name, modules in shared.items():
            if f"_{name}" in fragments(module):
                modules.append(module.stem)
    assert groups == shared
