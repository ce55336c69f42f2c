"""Start check of the consumer group: the right to join, and foreign members."""

import logging
import time
from typing import Any

from kafka.admin import MemberToRemove  # pyright: ignore[reportAttributeAccessIssue]
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError, KafkaError

from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.probe import CLIENT_ID

NOBODY = "labelstream-permission-probe"
COORDINATOR_TRIES, COORDINATOR_WAIT_S = 10, 0.5  # for the first group, the broker must create a topic
MAX_NAMES = 5


def group_findings(admin: Any, key: str, group: str) -> list[Finding]:
    """Findings that prevent joining `group`, or members that share it. `admin`: a KafkaAdminClient.

    Removes a member that does not exist: this needs READ on the group as joining does, and changes nothing. A group's
    description reports rights only after the group was used.
    """
    for _ in range(COORDINATOR_TRIES):
        try:
            admin.remove_group_members(group, [MemberToRemove(member_id=NOBODY)])
            break
        except GroupAuthorizationFailedError:
            return [Finding(key, f"no permission to read group {group}; grant READ on it")]
        except CoordinatorNotAvailableError:
            time.sleep(COORDINATOR_WAIT_S)
        except KafkaError:
            break  # the member, or even the group, does not exist yet
    else:
        return [Finding(key, f"no broker coordinates group {group}; look at the brokers' logs")]
    return _foreign_members(key, admin.describe_groups([group])[group])


def _foreign_members(key: str, group: dict[str, Any]) -> list[Finding]:
    """Foreign members take messages away, and a group with another assignor refuses this worker."""
    names = sorted({f"{member['client_id']} at {member['client_host'].strip('/')}" for member in group["members"]})
    others = [name for name in names if not name.startswith(f"{CLIENT_ID} at ")]
    more = f" and {len(others) - MAX_NAMES} more" if len(others) > MAX_NAMES else ""
    peers = f"{', '.join(others[:MAX_NAMES])}{more}" if others else "an older Labelstream"
    assignor = group["protocol_data"]
    if names and assignor and assignor != CooperativeStickyAssignor.name:
        text = (
            f"group {group['group_id']} is in use by {peers}, with the assignor {assignor}, and refuses members with "
            f"{CooperativeStickyAssignor.name}; set another group_id, or stop the others"
        )
        return [Finding(key, text)]
    if not others:
        return []
    text = f"group {group['group_id']} is shared with {peers}: their messages are not classified; set another group_id"
    return [Finding(key, text, logging.ERROR)]
