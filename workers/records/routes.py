"""`route`: rules that send results to other topics than the output topic."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labelstream.workers.section import Section


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class RouteRule(Section):
    """A rule of `route`. All conditions that are set must hold. The first matching rule applies."""

    topic: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")] | None = Field(
        description="Topic that gets the result instead of the output; null drops the result."
    )
    label: Annotated[tuple[str, ...], BeforeValidator(_one_or_more, json_schema_input_type=str | list[str])] = Field(
        default=(), description="Labels, of which one must be the result's best label; empty matches any label."
    )
    min_score: float | None = Field(default=None, description="Minimum score of the best label; null sets no minimum.")
    max_score: float | None = Field(default=None, description="Maximum score of the best label; null sets no maximum.")
    abstained: bool | None = Field(default=None, description="Whether the model abstained; null matches both.")
    truncated: bool | None = Field(default=None, description="Whether the text was truncated; null matches both.")

    def problems(self) -> Iterator[str]:
        if self.min_score is not None and self.max_score is not None and self.min_score > self.max_score:
            yield f"min_score ({self.min_score:g}) is above max_score ({self.max_score:g}); swap them"

    def matches_all(self) -> bool:
        """Whether no condition is set."""
        return self == RouteRule(topic=self.topic)

    def matches(self, answer: Any) -> bool:
        """Whether the rule matches a model's answer to one text. `label` and the scores refer to the best label."""
        if self.abstained is not None and self.abstained != answer.abstained:
            return False
        if self.truncated is not None and self.truncated != answer.truncated:
            return False
        if not self.label and self.min_score is None and self.max_score is None:
            return True
        labels = getattr(answer, "labels", None)
        if not labels or (self.label and labels[0] not in self.label):
            return False
        score = answer.scores[0]
        return (self.min_score is None or score >= self.min_score) and (
            self.max_score is None or score <= self.max_score
        )


def route_topics(rules: Collection[RouteRule]) -> list[str]:
    """Distinct topics of the rules."""
    return list(dict.fromkeys(rule.topic for rule in rules if rule.topic is not None))


def route_problems(name: str, pipelines: Mapping[str, Any]) -> Iterator[str]:
    """Yield route topics that the pipeline reads or that hold dead letters, and rules that hide later rules.

    Another pipeline may read a route topic, as it may read the output.
    """
    rules, inputs = pipelines[name].route, pipelines[name].inputs
    for place, rule in enumerate(rules):
        for other, pipeline in pipelines.items():
            taken = {
                pipeline.dead_letter: f"the dead-letter topic of pipeline {other}",
                f"{pipeline.dead_letter}.redriven": f"the topic of the redrives of pipeline {other}",
            }
            if other == name:
                taken |= dict.fromkeys(inputs.names, "an input of the pipeline")
                taken |= {pipeline.review: "the review topic"} if pipeline.review is not None else {}
            if rule.topic in taken:
                yield f"pipelines.{name}.route.{place}.topic: {rule.topic} is {taken[rule.topic]}; name another topic"
        if rule.matches_all() and place + 1 < len(rules):
            yield (
                f"pipelines.{name}.route.{place}: rule {place} matches every result, so that later rules never apply; "
                "move the rule to the end"
            )


def unknown_labels(rules: Collection[RouteRule], labels: Collection[str]) -> list[str]:
    """Distinct labels of the rules that are not in `labels`."""
    named = dict.fromkeys(label for rule in rules for label in rule.label)
    return [label for label in named if label not in labels]
