"""Run a Kafka broker in the foreground until Ctrl-C or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path

from .broker import BrokerError, KafkaBroker
from .install import KafkaMissing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument("--port", type=int, default=9092, help="client port on loopback (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="keep topics in this folder (default: empty at every start)")
    args = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with KafkaBroker(port=args.port, data=args.data) as broker:
            print(f"Kafka is ready at {broker.bootstrap} (Ctrl-C stops it)", flush=True)
            status = broker.wait()
            print(f"Kafka exited with status {status}:\n{broker.log_tail()}", file=sys.stderr)
            return 1
    except KeyboardInterrupt:
        return 0
    except (BrokerError, KafkaMissing) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
