"""Which topics the pipelines of a config need, what each of them gets, and Kafka's own command for it."""

import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

DEFAULT_PARTITIONS = 6
_ROLES = {"input": "input", "output": "output", "dead_letter": "dead letters", "review": "review"}


class PlannedTopic(NamedTuple):
    """`uses`: what for, such as "input of feedback". `partitions`: it has them, or is to have them.

    `same_as_input`: how many an output needs at least, by `output_partition: same`; 0 where it needs none.
    """

    name: str
    uses: tuple[str, ...]
    partitions: int
    exists: bool = False
    compacted: bool = False
    same_as_input: int = 0

    def options(self, replication: int | None) -> dict[str, Any]:
        """kafka-python's, of the topic to be created; -1 is the broker's default."""
        return {
            "num_partitions": self.partitions,
            "replication_factor": replication or -1,
            "configs": {"cleanup.policy": "compact"} if self.compacted else {},
        }


def topics_of_config(settings: Any) -> list[str]:
    """All topics, each once: those of the pipelines in their order, and the ledgers of redrives."""
    return list(_uses(settings))


def plan(settings: Any, found: Mapping[str, int], partitions: int | None) -> list[PlannedTopic]:
    """`found`: the partitions of each topic that is there. `partitions`: of each new one; None: as many as the input
    has, and for a new input as many as it has workers, `DEFAULT_PARTITIONS` at least.
    """
    uses = _uses(settings)
    counts = {topic: found.get(topic, partitions or 0) for topic in uses}
    needed = dict.fromkeys(uses, 0)
    for _ in settings.pipelines:  # as long as a chain of pipelines may be, of which each reads the one before
        for pipeline in settings.pipelines.values():
            _count(pipeline, found, counts, needed)
    return [
        PlannedTopic(
            topic,
            tuple(used),
            found.get(topic, 1 if _is_ledger(used) else max(1, counts[topic])),
            topic in found,
            _is_ledger(used),
            needed[topic],
        )
        for topic, used in uses.items()
    ]


def create_command(kafka: Any, topic: PlannedTopic, replication: int | None) -> str:
    """For Kafka's own tools; TLS and login are in a file of theirs."""
    more = ["--create", "--if-not-exists", "--topic", topic.name, "--partitions", str(topic.partitions)]
    if replication is not None:
        more += ["--replication-factor", str(replication)]
    if topic.compacted:
        more += ["--config", "cleanup.policy=compact"]
    return _command(kafka, more)


def alter_command(kafka: Any, topic: PlannedTopic) -> str:
    """Adds the partitions that `output_partition: same` needs."""
    return _command(kafka, ["--alter", "--topic", topic.name, "--partitions", str(topic.same_as_input)])


def _command(kafka: Any, options: Iterable[str]) -> str:
    login = [] if kafka.security.protocol == "PLAINTEXT" else ["--command-config", "client.properties"]
    return shlex.join(["kafka-topics.sh", "--bootstrap-server", kafka.bootstrap_servers, *login, *options])


def _uses(settings: Any) -> dict[str, list[str]]:
    from labelstream.workers.stream.broker.topics import topics_of
    from labelstream.workers.stream.dlq.ledger import ledger_topic

    uses: dict[str, list[str]] = {}
    for name, pipeline in settings.pipelines.items():
        for key, topic in topics_of(pipeline).items():
            uses.setdefault(topic, []).append(f"{_ROLES[key]} of {name}")
    for name, pipeline in settings.pipelines.items():
        uses.setdefault(ledger_topic(pipeline.dead_letter), []).append(f"redrives of {name}")
    return uses


def _is_ledger(used: list[str]) -> bool:
    return all(use.startswith("redrives of ") for use in used)


def _count(pipeline: Any, found: Mapping[str, int], counts: dict[str, int], needed: dict[str, int]) -> None:
    """Note what one pipeline asks of its topics."""
    read = counts[pipeline.input] = counts[pipeline.input] or max(DEFAULT_PARTITIONS, pipeline.workers.max)
    for topic in (pipeline.output, pipeline.dead_letter, pipeline.review):
        if topic is not None:
            counts[topic] = counts[topic] or read
    if pipeline.output_partition == "same":
        needed[pipeline.output] = max(needed[pipeline.output], read)
        if pipeline.output not in found:
            counts[pipeline.output] = max(counts[pipeline.output], read)
