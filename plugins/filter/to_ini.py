# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files of OpenStack services from nested dictionaries."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: to_ini
short_description: Render a dictionary of sections as an OpenStack configuration file
version_added: "0.1.0"
author: lifeboat.cloud contributors (@lifeboat-cloud)
description:
  - Renders a dictionary of sections, each a dictionary of options, in the form that oslo.config and PasteDeploy read.
  - C(DEFAULT) comes first, every other section and every option in the order given, so equal dictionaries in equal
    order give equal files. The file ends with a newline.
  - A list becomes a repeated option (C(MultiStrOpt)), a boolean C(true) or C(false). An option or a section that is
    V(null) is left out, as is an empty list, so an override can take something away.
  - The lines of a text after the first are indented, as continuations of the option.
  - A dollar sign is given to oslo.config as it is, which reads C($name) as a reference to another option.
options:
  _input:
    description: The sections.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the configuration of Glance
  ansible.builtin.copy:
    content: "{{ glance_config | combine(glance_config_overrides, recursive=true) | lifeboat.cloud.to_ini }}"
    dest: /etc/glance/glance-api.conf
    owner: root
    group: glance
    mode: "0640"
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

_FIRST_SECTION = "DEFAULT"
_SECTION = re.compile(r"[^\[\]\n\r]*[^\[\]\s]")
# oslo.config ends the name at the first of '=' and ':'.
_OPTION = re.compile(r"[^\s\[#;=:](?:[^\n\r=:]*[^\s=:])?")

_NEWLINE = re.compile(r"\r\n|\r|\n")


def to_ini(sections: object) -> str:
    """The text of a configuration file for ``{section: {option: value}}``; AnsibleFilterError for what has no form."""
    if not isinstance(sections, Mapping):
        raise AnsibleFilterError(f"to_ini: found {_kind(sections)}; expected a dictionary of sections.")
    names = sorted(sections, key=lambda name: name != _FIRST_SECTION)
    return "\n".join(_section(name, sections[name]) for name in names if sections[name] is not None)


def _section(name: object, options: object) -> str:
    if not isinstance(name, str) or not _SECTION.fullmatch(name):
        raise AnsibleFilterError(
            f"to_ini: found the section name {name!r}; expected a text without brackets and newlines."
        )
    if not isinstance(options, Mapping):
        raise AnsibleFilterError(
            f"to_ini: found {_kind(options)} as section [{name}]; expected a dictionary of options."
        )
    lines = [line for option, value in options.items() for line in _option(name, option, value)]
    return "\n".join([f"[{name}]", *lines]) + "\n"


def _option(section: str, option: object, value: object) -> t.Iterator[str]:
    if not isinstance(option, str) or not _OPTION.fullmatch(option):
        raise AnsibleFilterError(
            f"to_ini: found the option name {option!r} in section [{section}]; expected a text without '=', ':' and "
            "newlines that does not begin with '[', '#' or ';'."
        )
    values = value if _is_list(value) else [value]
    for each in t.cast("Sequence[object]", values):
        if each is not None:
            yield f"{option} = {_value(section, option, each)}".rstrip()


def _value(section: str, option: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping) or _is_list(value):
        raise AnsibleFilterError(
            f"to_ini: found {_kind(value)} as the value of {option} in section [{section}]; expected a text, a number, "
            "a boolean, null, or a list of these."
        )
    first, *more = _NEWLINE.split(str(value).rstrip("\r\n"))
    if not all(line.strip() for line in more):
        raise AnsibleFilterError(
            f"to_ini: found an empty line in the value of {option} in section [{section}]; expected none, as it would "
            "end the value."
        )
    return "\n    ".join([first, *more])


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a dictionary"
    return "a list" if _is_list(value) else repr(value)


class FilterModule:
    """The filter to_ini."""

    def filters(self) -> dict[str, t.Callable[[object], str]]:
        return {"to_ini": to_ini}
