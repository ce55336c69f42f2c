"""A YAML loader that refuses a repeated key. PyYAML's own loaders silently keep the last one."""

from typing import Any

import yaml


class KeyTwice(yaml.MarkedYAMLError):
    """`problem`: the key; `problem_mark`: the place of its second occurrence."""


class UniqueKeysLoader(yaml.SafeLoader):
    """A SafeLoader that raises KeyTwice for a repeated key."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)  # not yet merged by <<: a key may override a merged one
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise KeyTwice(problem=key.value, problem_mark=key.start_mark)
                seen.add(key.value)
        return node
