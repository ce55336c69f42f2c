"""The parts of a config that a deployment gets or depends on: a change elsewhere restarts none of its replicas."""

from typing import Any

from labelstream.workers.settings.pipeline import PipelineSettings


def without_counts(config: dict[str, Any]) -> dict[str, Any]:
    """`config` without the numbers of replicas: `serve deploy` restarts all replicas whose arguments change."""
    return {
        **config,
        **{
            section: {
                name: {key: value for key, value in entry.items() if key != count}
                for name, entry in config.get(section, {}).items()
            }
            for section, count in (("pipelines", "workers"), ("models", "replicas"))
        },
    }


def part_of(config: dict[str, Any], name: str, pipeline: PipelineSettings) -> dict[str, Any]:
    """The part of `config` that the workers of the pipeline `name` need."""
    models = {model: config["models"][model] for model in pipeline.allowed_models}
    http = config.get("http", {})
    # A worker samples results for the page.
    page = {"page_texts": http.get("page_texts", False)} if http.get("page") else None
    config = {section: part for section, part in config.items() if section != "http"}
    if page is not None:
        config["http"] = page
    return {**config, "models": models, "pipelines": {name: config["pipelines"][name]}}
