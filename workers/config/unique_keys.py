"""YAML without keys that are there twice: YAML's own loader takes the last one, and says nothing of the first."""

from typing import Any

import yaml


class KeyTwice(yaml.MarkedYAMLError):
    """`problem`: the key; `problem_mark`: where it is the second time."""


class UniqueKeysLoader(yaml.SafeLoader):
    """Raises KeyTwice."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)  # before merges by <<, which a key beside them may override
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise KeyTwice(problem=key.value, problem_mark=key.start_mark)
                seen.add(key.value)
        return node
