"""What a task reads off its model: [n, outputs] of one forward. The rest of the engine is the same for all of them."""

from typing import Any, Protocol

import torch

from labelstream.workers.engine.backends.pytorch.last_layer import one_of_each, prune_last_layer
from labelstream.workers.engine.description import TaskName


class OutputHead(Protocol):
    """`inputs`: transformers' own, with an attention_mask ([n, L], or bool [n, 1, 1, L]) where there is padding.
    `targets`: int64 [n], or None for the first token. All on the device.

    `narrowed`: the model's last hidden states are those of the tokens asked for alone, see `prune_last_layer`.
    """

    narrowed: bool

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor: ...


def head_for(model: torch.nn.Module, task: TaskName, pooling: str | None) -> OutputHead:
    """What `task` reads off `model`. `pooling`: of embeddings; the mean unless told otherwise."""
    if task is TaskName.FILL_MASK:
        return TargetLogits(model)
    return Pooled(model, pooling or "mean") if task is TaskName.EMBEDDING else Logits(model)


class Logits:
    """A classifier's."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self.narrowed = model, prune_last_layer(model)

    def __call__(self, inputs: dict[str, Any], targets: torch.Tensor | None) -> torch.Tensor:
        del targets
        return self._model(**inputs).logits


class TargetLogits:
    """Over the vocabulary, at each sequence's target alone.

    The head gets the targets' vectors and no others: over all tokens it would cost more than the model before it, and
    give 16 GB for 16,384 tokens and a vocabulary of 250,000. Heads work token by token.
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
            inputs = {**inputs, "asked": targets}
        return self._model(**inputs).logits[:, 0]

    def _take_targets(self, module: torch.nn.Module, arguments: Any, outputs: Any) -> Any:
        del module, arguments
        outputs.last_hidden_state = one_of_each(outputs.last_hidden_state, self._targets)
        return outputs


class Pooled:
    """One vector of each sequence's last hidden states, in float32: the mean over its tokens, or the first token's."""

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
    """As `read`, of sequences that lie one behind the other in one row.

    Behind `last`, the module that gives the last hidden states [1, T, hidden], each sequence is left one vector, as if
    it had one token: what comes then (poolers and heads) reads a sequence's first token, and finds what it should.
    `mean`: that vector is the mean of the sequence's tokens, in float32; else the vector of the token asked for.
    """

    def __init__(self, read: OutputHead, last: torch.nn.Module, mean: bool) -> None:
        self._read, self._mean = read, mean
        self._rows: torch.Tensor | None = None
        self._lengths: torch.Tensor | None = None
        last.register_forward_hook(self._leave_one)

    def __call__(self, inputs: dict[str, Any], rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[n, outputs]. `rows`: int64 [n], where the tokens are that are asked for. `lengths`: int64 [n]."""
        self._rows, self._lengths = rows, lengths
        if self._read.narrowed:
            inputs = {**inputs, "asked": rows}
        try:
            return self._read(inputs, None)
        finally:
            self._rows = self._lengths = None

    def _leave_one(self, module: torch.nn.Module, arguments: Any, outputs: Any) -> Any:
        del module, arguments
        if self._rows is not None:
            hidden = outputs.last_hidden_state[0]
            if self._read.narrowed:
                one = hidden
            elif self._mean:
                # unsafe: without it torch waits for the device to check the lengths, which are ours.
                one = torch.segment_reduce(hidden.float(), "mean", lengths=self._lengths, unsafe=True)
            else:
                one = hidden[self._rows]
            outputs.last_hidden_state = one[:, None]
        return outputs
