"""No partition is given to a member while another one still claims it, whatever members say."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment
from kafka.structs import TopicPartition

from labelstream.workers.stream.consumer.assignor import Assignor

NUMBERS = range(6)
CLUSTER: Any = SimpleNamespace(
    topics=lambda: {"in"}, partitions_for_topic=lambda topic: set(NUMBERS), available_partitions_for_topic=NUMBERS
)
Claims = dict[str, set[int]]


def member(name: str, numbers: set[int], generation: int = 1) -> Assignor:
    """One that was assigned `numbers`."""
    assignor = Assignor()
    made: Any = ConsumerProtocolAssignment  # the types that pyright knows of kafka-python are of an older client
    on_assignment: Any = assignor.on_assignment
    on_assignment(made(1, [("in", sorted(numbers))], b""), generation)
    return assignor


def rebalance(members: dict[str, Assignor]) -> Claims:
    """Each member's numbers after one generation, with the first one as the leader."""
    joined = [SimpleNamespace(member_id=name, metadata=one.metadata(["in"])) for name, one in members.items()]
    assigned = next(iter(members.values())).assign(CLUSTER, joined)
    found: Claims = defaultdict(set)
    for name, assignment in assigned.items():
        on_assignment: Any = members[name].on_assignment
        on_assignment(assignment, 2)
        found[name] = {partition.partition for partition in assignment.partitions()}
    return found


@given(st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from(NUMBERS)), min_size=1))
def test_what_another_one_claims_is_given_to_nobody(claims: Claims) -> None:
    members = {name: member(name, numbers) for name, numbers in claims.items()}
    assigned = rebalance(members)
    for name, numbers in assigned.items():
        for other, claimed in claims.items():
            assert other == name or not numbers & claimed
    for _ in range(3):
        assigned = rebalance(members)
    assert sorted(number for numbers in assigned.values() for number in numbers) == list(NUMBERS)
    assert max(map(len, assigned.values())) - min(map(len, assigned.values())) <= 1


def test_a_lost_membership_takes_its_claims_with_it() -> None:
    """Hazard: who had all, was counted out and comes back claims all; two of it are given to it at once."""
    returned = member("a", set(NUMBERS))
    returned.forget()
    assigned = rebalance({"b": member("b", {0, 2, 4}), "c": member("c", {1, 3, 5}), "a": returned})
    assert assigned["a"] == set()
    assert assigned["b"] <= {0, 2, 4}
    assert assigned["c"] <= {1, 3, 5}


def test_its_claims_are_partitions_it_was_assigned() -> None:
    (claimed,) = member("a", {1, 2}).metadata(["in"]).owned_partitions
    assert (claimed.topic, claimed.partitions) == ("in", [1, 2])
    assert Assignor.parse_member_metadata(member("a", {1}).metadata(["in"])).partitions == [TopicPartition("in", 1)]
