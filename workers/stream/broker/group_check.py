"""May we join the pipeline's consumer group, and who else is in it? Asked before the stream starts."""

import logging
import time
from typing import Any

from kafka.admin import MemberToRemove  # pyright: ignore[reportAttributeAccessIssue]
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError, KafkaError

from labelstream.workers.stream.broker.finding import Finding
from labelstream.workers.stream.broker.probe import CLIENT_ID

NOBODY = "labelstream-permission-probe"
COORDINATOR_TRIES, COORDINATOR_WAIT_S = 10, 0.5  # the first group ever makes the broker create a topic
MAX_NAMES = 5


def group_findings(admin: Any, key: str, group: str) -> list[Finding]:
    """What keeps us from joining `group`, and whom it is shared with. `admin`: a KafkaAdminClient.

    Asks to remove a member that does not exist: it needs READ on the group as joining does, and changes nothing.
    A group's description tells its rights only once somebody has used it.
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
            break  # there is no such member, or no such group yet
    else:
        return [Finding(key, f"no broker coordinates group {group}; look at the brokers' logs")]
    return _others(key, admin.describe_groups([group])[group])


def _others(key: str, found: dict[str, Any]) -> list[Finding]:
    """Members that are not ours take messages away, and keep us out where they share partitions in another way."""
    names = sorted({f"{member['client_id']} at {member['client_host'].strip('/')}" for member in found["members"]})
    others = [name for name in names if not name.startswith(f"{CLIENT_ID} at ")]
    more = f" and {len(others) - MAX_NAMES} more" if len(others) > MAX_NAMES else ""
    who = f"{', '.join(others[:MAX_NAMES])}{more}" if others else "an older Labelstream"
    assignor = found["protocol_data"]
    if names and assignor and assignor != CooperativeStickyAssignor.name:
        text = (
            f"group {found['group_id']} is in use by {who}, with the assignor {assignor}, and takes no member with "
            f"{CooperativeStickyAssignor.name}; set another group_id, or stop the others"
        )
        return [Finding(key, text)]
    if not others:
        return []
    text = f"group {found['group_id']} is shared with {who}: what they get is not classified; set another group_id"
    return [Finding(key, text, logging.ERROR)]
