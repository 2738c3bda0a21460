# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for bcrypt in Ceph's managers, whose modules all import it and hardly any of which uses it.

Debian's is built with PyO3, which cannot be loaded by the interpreters of the modules ("PyO3 modules do not yet support
subinterpreters"), so that none of them would run.
"""


def _missing(*arguments, **options):
    raise NotImplementedError("bcrypt cannot be used inside of ceph-mgr (PyO3 does not support subinterpreters)")


gensalt = hashpw = checkpw = _missing
