"""Makes and submits one call for each model of a micro-batch."""

from collections.abc import Callable, Mapping, Sequence

from labelstream.workers.classifier import Classifier, Request
from labelstream.workers.stream.codec.text_list import TextList
from labelstream.workers.stream.micro_batch import Item
from labelstream.workers.stream.model_call import ModelCall


def calls_of(
    items: Sequence[Item],
    classifiers: Mapping[str, Classifier],
    clock: Callable[[], float],
    wake: Callable[[], None],
) -> tuple[list[ModelCall], dict[int, range]]:
    """One call for each model of the items, and the rows of each item with several texts."""
    text_rows: dict[int, range] = {}
    end = len(items)
    rows: dict[str, list[int]] = {}
    requests: dict[str, list[Request]] = {}
    for row, item in enumerate(items):
        message, request = item.message, item.request
        if message is None or request is None:
            continue
        own_rows, own_requests = rows.setdefault(item.model, []), requests.setdefault(item.model, [])
        if type(message) is TextList:
            text_rows[row] = range(end, end + len(message.texts))
            for text_row, text in zip(text_rows[row], message.texts, strict=True):
                if text.rejection is None:
                    own_rows.append(text_row)
                    own_requests.append(request._replace(text=text.text, text_pair=message.pair_of(text)))
            end += len(message.texts)
        else:
            own_rows.append(row)
            own_requests.append(request)
    calls = [ModelCall(model, rows[model], requests[model], classifiers[model], clock, wake) for model in rows]
    return calls, text_rows
