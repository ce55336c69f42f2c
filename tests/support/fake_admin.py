"""A fake KafkaAdminClient with given topics and a given group."""

from collections.abc import Iterable
from typing import Any

from kafka.errors import ClusterAuthorizationFailedError, KafkaError, UnknownMemberIdError

UNKNOWN_TOPIC, NOT_ALLOWED = 3, 29
DEFAULTS = {
    "max.message.bytes": "1048588",
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "message.timestamp.type": "CreateTime",
}


class FakeAdmin:
    """`topics`: each topic's settings that differ from the defaults; None if reading them is not permitted.

    `partitions`, `allowed` (None: not reported) and `errors` are by topic. `joining`: raised in turn by calls that ask
    for permission to join the group. `members`: (client id, host).
    """

    def __init__(
        self,
        topics: dict[str, dict[str, str] | None],
        partitions: dict[str, int] | None = None,
        allowed: dict[str, list[str] | None] | None = None,
        errors: dict[str, int] | None = None,
        joining: Iterable[type[KafkaError]] = (),
        members: Iterable[tuple[str, str]] = (),
        assignor: str = "cooperative-sticky",
    ) -> None:
        self._topics, self._partitions, self._allowed = topics, partitions or {}, allowed or {}
        self._errors, self._joining = errors or {}, iter(joining)
        self._members, self._assignor = list(members), assignor
        self.asked: list[str] = []

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        return [
            {
                "name": topic,
                "error_code": self._errors.get(topic, 0 if topic in self._topics else UNKNOWN_TOPIC),
                "partitions": [{}] * self._partitions.get(topic, 1),
                "authorized_operations": self._allowed.get(topic, ["READ", "WRITE"]),
            }
            for topic in topics
        ]

    def list_topics(self) -> list[str]:
        return list(self._topics)

    def describe_configs(self, resources: list[Any], config_filter: str) -> Any:
        [resource] = resources
        self.asked.append(resource.name)
        own = self._topics[resource.name]
        if own is None:
            raise ClusterAuthorizationFailedError
        return {"topic": {resource.name: {name: {"value": value} for name, value in (DEFAULTS | own).items()}}}

    def remove_group_members(self, group: str, members: list[Any]) -> None:
        raise next(self._joining, UnknownMemberIdError)

    def describe_groups(self, groups: list[str]) -> dict[str, Any]:
        members = [{"client_id": name, "client_host": f"/{host}"} for name, host in self._members]
        protocol = self._assignor if members else ""
        return {groups[0]: {"group_id": groups[0], "members": members, "protocol_data": protocol}}
