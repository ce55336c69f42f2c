"""Check that the broker supports transactions whose offsets are fenced by the group's generation."""

from typing import Any

from kafka.errors import KafkaError, TransactionalIdAuthorizationFailedError

from labelstream.workers.errors import StartError
from labelstream.workers.settings.kafka import KafkaSettings
from labelstream.workers.stream.broker.connection import is_in_memory, translate_kafka_errors
from labelstream.workers.stream.broker.topics import DEFAULT_MAX_BYTES
from labelstream.workers.stream.producer.kafka_producer.client import make_transactional_producer
from labelstream.workers.stream.producer.kafka_producer.workarounds import end

FENCING_API = (2, 5)


def check_transactions(config: dict[str, Any], kafka: KafkaSettings, key: str, transactional_id: str) -> None:
    """Raises `StartError` with `key` if the broker refuses transactions with `transactional_id`."""
    if is_in_memory(config):
        raise StartError(f"{key}: exactly_once needs a real broker, not the in-memory one; set at_least_once")
    with translate_kafka_errors(kafka):
        producer = make_transactional_producer(config, kafka, [DEFAULT_MAX_BYTES], transactional_id)
        try:
            if producer.config["api_version"] < FENCING_API:
                raise StartError(
                    f"{key}: exactly_once needs Kafka 2.5 or newer, whose brokers fence offsets by the "
                    "generation of the group (KIP-447); set at_least_once, or upgrade the brokers"
                )
            producer.init_transactions()
        except TransactionalIdAuthorizationFailedError:
            raise StartError(
                f"{key}: no permission for transactions; grant WRITE on transactional ids with the "
                f"prefix {transactional_id.rpartition('-')[0]}-"
            ) from None
        except KafkaError as error:
            raise StartError(
                f"{key}: transactions failed ({type(error).__name__}: {error}); kafka.transaction_timeout_ms "
                f"({kafka.transaction_timeout_ms}) must not exceed the brokers' transaction.max.timeout.ms"
            ) from None
        finally:
            end(producer, 0)
