"""May we join the pipeline's consumer group? Asked before the stream starts."""

import time
from typing import Any

from kafka.admin import MemberToRemove  # pyright: ignore[reportAttributeAccessIssue]
from kafka.errors import CoordinatorNotAvailableError, GroupAuthorizationFailedError, KafkaError

from labelstream.workers.errors import StartError

NOBODY = "labelstream-permission-probe"
COORDINATOR_TRIES, COORDINATOR_WAIT_S = 10, 0.5  # the first group ever makes the broker create a topic


def check_group(admin: Any, key: str, group: str) -> None:
    """Raises `StartError` naming `key` when the broker does not let us join `group`. `admin`: a KafkaAdminClient.

    Asks to remove a member that does not exist: it needs READ on the group as joining does, and changes nothing.
    A group's description tells its rights only once somebody has used it.
    """
    for attempt in range(COORDINATOR_TRIES):
        try:
            admin.remove_group_members(group, [MemberToRemove(member_id=NOBODY)])
            return
        except GroupAuthorizationFailedError:
            raise StartError(f"{key}: no permission to read group {group}; grant READ on it") from None
        except CoordinatorNotAvailableError:
            if attempt == COORDINATOR_TRIES - 1:
                raise StartError(f"{key}: no broker coordinates group {group}; look at the brokers' logs") from None
            time.sleep(COORDINATOR_WAIT_S)
        except KafkaError:
            return  # there is no such member, or no such group yet
