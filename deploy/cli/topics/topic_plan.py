"""Plans the topics of a config: their partitions, and the commands of Kafka's own tools for them."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

DEFAULT_PARTITIONS = 6
_ROLES = {"output": "output", "dead_letter": "dead letters", "review": "review"}


class PlannedTopic(NamedTuple):
    """`uses`: the purposes, such as "input of feedback". `partitions`: existing or planned.

    `same_as_input`: the partitions that an output needs for `output_partition: same`; else 0.
    """

    name: str
    uses: tuple[str, ...]
    partitions: int
    exists: bool = False
    compacted: bool = False
    same_as_input: int = 0

    def options(self, replication: int | None) -> dict[str, Any]:
        """kafka-python's options to create the topic. -1 is the broker's default."""
        return {
            "num_partitions": self.partitions,
            "replication_factor": replication or -1,
            "configs": {"cleanup.policy": "compact"} if self.compacted else {},
        }


def topics_of_config(settings: Any) -> list[str]:
    """All topics without repetition: those of the pipelines in their order, then the ledgers of redrives."""
    return list(_uses(settings))


def plan(
    settings: Any, found: Mapping[str, int], partitions: int | None, matched: Mapping[str, Sequence[str]]
) -> list[PlannedTopic]:
    """`found`: topic -> partitions of existing topics. `partitions`: of each new topic.

    None: as many as the largest input; for a new input as many as its workers, but at least `DEFAULT_PARTITIONS`.
    `matched`: existing topics of the pipelines whose input is a pattern, which are not planned.
    """
    uses = _uses(settings)
    counts = {topic: found.get(topic, partitions or 0) for topic in uses}
    needed = dict.fromkeys(uses, 0)
    for _ in settings.pipelines:  # the longest possible chain of pipelines that read each other's output
        for name, pipeline in settings.pipelines.items():
            read = _partitions_read(pipeline, counts, [found[topic] for topic in matched.get(name, ())])
            _count(pipeline, found, counts, needed, read)
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
    """The command of Kafka's own tools. TLS and login are in the tools' own file."""
    more = ["--create", "--if-not-exists", "--topic", topic.name, "--partitions", str(topic.partitions)]
    if replication is not None:
        more += ["--replication-factor", str(replication)]
    if topic.compacted:
        more += ["--config", "cleanup.policy=compact"]
    return _command(kafka, more)


def alter_command(kafka: Any, topic: PlannedTopic) -> str:
    """The command that adds the partitions for `output_partition: same`."""
    return _command(kafka, ["--alter", "--topic", topic.name, "--partitions", str(topic.same_as_input)])


def _command(kafka: Any, options: Iterable[str]) -> str:
    login = [] if kafka.security.protocol == "PLAINTEXT" else ["--command-config", "client.properties"]
    return shlex.join(["kafka-topics.sh", "--bootstrap-server", kafka.bootstrap_servers, *login, *options])


def _uses(settings: Any) -> dict[str, list[str]]:
    from labelstream.workers.stream.broker.topics import outputs_of
    from labelstream.workers.stream.dlq.ledger import ledger_topic

    uses: dict[str, list[str]] = {}
    for name, pipeline in settings.pipelines.items():
        for topic in pipeline.inputs.names:
            uses.setdefault(topic, []).append(f"input of {name}")
        for key, topic in outputs_of(pipeline).items():
            uses.setdefault(topic, []).append(f"{_ROLES.get(key, 'routed results')} of {name}")
    for name, pipeline in settings.pipelines.items():
        uses.setdefault(ledger_topic(pipeline.dead_letter), []).append(f"redrives of {name}")
    return uses


def _is_ledger(used: list[str]) -> bool:
    return all(use.startswith("redrives of ") for use in used)


def _partitions_read(pipeline: Any, counts: dict[str, int], matched: Sequence[int]) -> int:
    """The partitions of the largest input. Adds those of new inputs to `counts`."""
    new = max(DEFAULT_PARTITIONS, pipeline.workers.max)
    for topic in pipeline.inputs.names:
        counts[topic] = counts[topic] or new
    return max([*(counts[topic] for topic in pipeline.inputs.names), *matched], default=new)


def _count(pipeline: Any, found: Mapping[str, int], counts: dict[str, int], needed: dict[str, int], read: int) -> None:
    """Add the partitions that one pipeline needs to `counts` and `needed`. `read`: of its largest input."""
    from labelstream.workers.records.routes import route_topics

    routes = route_topics(pipeline.route)
    for topic in (pipeline.output, pipeline.dead_letter, pipeline.review, *routes):
        if topic is not None:
            counts[topic] = counts[topic] or read
    for topic in (pipeline.output, *routes) if pipeline.output_partition == "same" else ():
        needed[topic] = max(needed[topic], read)
        if topic not in found:
            counts[topic] = max(counts[topic], read)
