"""The output heads: each runs the model and returns a task's outputs, [n, outputs]."""

from typing import Any, Protocol

import torch

from labelstream.workers.engine.backends.pytorch.last_layer import one_of_each, prune_last_layer
from labelstream.workers.engine.description import TaskName


class OutputHead(Protocol):
    """Runs the model. `narrowed`: its last layer computes only the tokens that are read, see `prune_last_layer`.

    `inputs`: transformers' inputs, with an attention_mask ([n, L], or bool [n, 1, 1, L]) if there is padding.
    `targets`: int64 [n], positions of the tokens to read; None: the first token. All on the device.
    """

    narrowed: bool

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor: ...


def head_for(model: torch.nn.Module, task: TaskName, pooling: str | None) -> OutputHead:
    """The output head of `task`. `pooling`: of embeddings, "mean" or "cls"; None means the mean."""
    if task is TaskName.FILL_MASK:
        return TargetLogits(model)
    return Pooled(model, pooling or "mean") if task is TaskName.EMBEDDING else Logits(model)


class Logits:
    """The logits of a classifier."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self.narrowed = model, prune_last_layer(model)

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
        del targets
        return self._model(**inputs).logits


class TargetLogits:
    """The logits over the vocabulary at each sequence's target.

    The language-model head reads only the targets' vectors. Over all tokens it would cost more than the rest of the
    model, and return 16 GB for 16,384 tokens and a vocabulary of 250,000. Heads process each token independently.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self.narrowed = model, prune_last_layer(model)
        self._targets: torch.Tensor | None = None
        if not self.narrowed:
            base: torch.nn.Module = model.base_model  # type: ignore[assignment]
            base.register_forward_hook(self._take_targets)

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
        self._targets = targets
        if self.narrowed and targets is not None:
            inputs = {**inputs, "read_at": targets}
        return self._model(**inputs).logits[:, 0]

    def _take_targets(self, module: torch.nn.Module, arguments: Any, outputs: Any) -> Any:
        del module, arguments
        outputs.last_hidden_state = one_of_each(outputs.last_hidden_state, self._targets)
        return outputs


class Pooled:
    """One float32 vector per sequence: the mean of its tokens' last hidden states, or the first token's."""

    def __init__(self, model: torch.nn.Module, pooling: str) -> None:
        self._model, self._mean = model, pooling == "mean"
        self.narrowed = not self._mean and prune_last_layer(model)

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
        del targets
        hidden = self._model(**inputs).last_hidden_state
        if not self._mean:
            return hidden[:, 0].float()
        mask = inputs.get("attention_mask")
        if mask is None:
            return hidden.mean(1, dtype=torch.float32)
        mask = mask[:, 0, 0] if mask.dim() == 4 else mask
        whole = (hidden * mask[:, :, None]).sum(1, dtype=torch.float32)
        return whole / mask.sum(1)[:, None]


class UnpaddedHead:
    """Runs `read` on sequences without padding, one after the other in one row.

    A hook on `last`, the module that returns the last hidden states [1, T, hidden], reduces each sequence to one
    vector: [n, 1, hidden]. Poolers and heads after `last` read the first token of a sequence, which is this vector.
    `mean`: the vector is the mean of the sequence's tokens, in float32; else the vector of the token to read.
    """

    def __init__(self, read: OutputHead, last: torch.nn.Module, mean: bool) -> None:
        self._read, self._mean = read, mean
        self._rows: torch.Tensor | None = None
        self._lengths: torch.Tensor | None = None
        last.register_forward_hook(self._leave_one)

    def __call__(self, inputs: dict[str, Any], rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[n, outputs]. `rows`: int64 [n], places of the tokens to read in the row of T. `lengths`: int64 [n]."""
        self._rows, self._lengths = rows, lengths
        if self._read.narrowed:
            inputs = {**inputs, "read_at": rows}
        try:
            return self._read(inputs, None)
        finally:
            self._rows = self._lengths = None

    def _leave_one(self, module: torch.nn.Module, arguments: Any, outputs: Any) -> Any:
        del module, arguments
        if self._rows is not None:
            hidden = outputs.last_hidden_state[0]
            if self._read.narrowed:
                vectors = hidden
            elif self._mean:
                # unsafe: skips a check of the lengths, for which torch would wait for the device.
                vectors = torch.segment_reduce(hidden.float(), "mean", lengths=self._lengths, unsafe=True)
            else:
                vectors = hidden[self._rows]
            outputs.last_hidden_state = vectors[:, None]
        return outputs
