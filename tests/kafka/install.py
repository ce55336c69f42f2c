"""Find Java and the Kafka jars, or say what to install.

LABELSTREAM_TEST_KAFKA=3.9 uses the jars of `make kafka-3.9-jars` instead of `make kafka-jars`.
"""

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSION = os.environ.get("LABELSTREAM_TEST_KAFKA", "")
JARS = ROOT / (f".kafka-{VERSION}" if VERSION else ".kafka") / "jars"
TARGET = f"kafka-{VERSION}-jars" if VERSION else "kafka-jars"


class KafkaMissing(RuntimeError):
    """Java or the Kafka jars are missing; the text says how to get them."""


def java_command() -> list[str]:
    """The Java command with the Kafka jars on its class path. Raises KafkaMissing."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise KafkaMissing("Kafka needs Java 17 or newer: apt-get install openjdk-17-jre-headless")
    if not any(JARS.glob("kafka_*.jar")):
        maven = "" if shutil.which("mvn") else " (it needs Maven: apt-get install maven)"
        raise KafkaMissing(f"no Kafka jars in {JARS}: run `make {TARGET}`{maven}")
    return [java, "-cp", f"{JARS}/*"]
