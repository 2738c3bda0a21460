# Copyright: lifeboat.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova-compute for a fake host of a thousand servers.

With each claim Nova asks Placement for the allocations of all servers of the host, one by one, for the case that the
driver wants to reshape its inventory or that PCI devices are reported. On fake hosts neither is so, and there the
thousandth server would cost a thousand requests.
"""

import sys

from nova.cmd.compute import main
from nova.scheduler.client.report import SchedulerReportClient

SchedulerReportClient.get_allocations_for_provider_tree = lambda *_arguments: {}
sys.exit(main())
