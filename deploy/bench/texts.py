"""The user's own texts, for a benchmark; made-up ones are `workers.engine.samples.make_texts`'."""

from pathlib import Path

from workers.errors import ConfigError


def read_texts(path: Path, count: int) -> list[str]:
    """The first `count` lines that are not blank; they are repeated where there are fewer. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("--texts", f"{path} cannot be read ({type(error).__name__})",
                          "name a file with one text per line, in UTF-8") from None
    texts = [line for line in lines if line.strip()][:count]
    if not texts:
        raise ConfigError("--texts", f"{path} has no text", "name a file with one text per line")
    return [texts[i % len(texts)] for i in range(count)]
