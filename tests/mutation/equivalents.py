"""Mutants that behave like the original: (file, original line, change, reason). A change "*" covers the whole line."""
# ruff: noqa: E501 - the lines are the code's

_TASKS = "workers/engine/tasks"
(
    _POSTPROCESS,
    _LAYOUT,
    _PLAN,
    _DESCRIBE,
    _SPECIAL_TOKENS,
    _RAGGED,
    _HEADS,
    _SCORING,
    _TOKENIZER,
    _WORD_RULES,
    _WORD_CACHE,
) = (
    f"workers/engine/{name}.py"
    for name in (
        "tasks/postprocess",
        "inference/forward_layout",
        "inference/forward_plan",
        "loading/describe",
        "tokenization/special_tokens",
        "ragged",
        "backends/pytorch/heads",
        "inference/scoring",
        "tokenization/tokenizer",
        "tokenization/word_rules",
        "tokenization/word_cache",
    )
)
_FASTER = "both ways give the same, and one is faster"
_LIMIT = "a limit that is as good a little higher or lower"
_NOTHING = "of nothing that is run"
_EDGE_TOKENS = "workers/engine/tokenization/edge_tokens.py"
_TRUNCATION = "workers/engine/tokenization/truncation.py"
_LAST = "workers/engine/backends/pytorch/last_layer.py"
_MADE_UP = "any made-up values show whether layers are the same"
_FOUND = "the comparison of both layers finds it as well"
_NO_LENGTH = "any number that is no length will do"

EQUIVALENTS: tuple[tuple[str, str, str, str], ...] = (
    (_POSTPROCESS, "if len(widths) > 1:", "len(widths) > 1 -> len(widths) >= 1", _FASTER),
    (_POSTPROCESS, "if len(widths) > 1:", "1 -> 0", _FASTER),
    (_SCORING, "_SELECT_FROM = 1_000", "*", _FASTER),
    (_SCORING, "width = scores.shape[-1]", "*", _FASTER),
    (_SCORING, "if width < _SELECT_FROM or 4 * top_k > width:", "*", f"{_FASTER}; but for ties at the cut"),
    (
        _SCORING,
        "best, order = torch.sort(scores.gather(-1, ids), descending=True, stable=True)",
        "torch.sort(scores.gather(-1, ids), descending=True, stable=True) -> "
        "torch.sort(scores.gather(-1, ids), descending=True)",
        "on a CPU all of torch's sorting is stable",
    ),
    (
        _SCORING,
        "best, order = torch.sort(scores.gather(-1, ids), descending=True, stable=True)",
        "True -> False",
        "on a CPU all of torch's sorting is stable",
    ),
    (
        _DESCRIBE,
        'if problem_type == "single_label_classification" or config.num_labels > 1:',
        "config.num_labels > 1 -> config.num_labels >= 1",
        "with one label it has been answered before",
    ),
    (
        _DESCRIBE,
        'if problem_type == "single_label_classification" or config.num_labels > 1:',
        "1 -> 0",
        "with one label it has been answered before",
    ),
    (_DESCRIBE, "return wanted or 1_000_000  # all that a request may name", "1_000_000 -> 999999", _LIMIT),
    (_DESCRIBE, "return wanted or 1_000_000  # all that a request may name", "1_000_000 -> 1000001", _LIMIT),
    (
        _DESCRIBE,
        'return tuple(tokenizer.decode([i]) if i < known else "" for i in range(config.vocab_size))',
        "i < known -> i <= known",
        "an id that the tokenizer does not know is decoded to nothing",
    ),
    (_SPECIAL_TOKENS, "content_types = [0] * count", "0 -> 1", "each is set where the frame is one"),
    (_TOKENIZER, 'os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")', "*", "no result depends on it"),
    (_TRUNCATION, "if len(content) <= limit:", "len(content) <= limit -> len(content) < limit", _FASTER),
    (_TRUNCATION, "if sum(lengths) <= room:", "sum(lengths) <= room -> sum(lengths) < room", _FASTER),
    (_TRUNCATION, "end, size = start, 2 * size", "2 -> 3", _FASTER),
    (_TRUNCATION, "start, size = end, 2 * size", "2 -> 3", _FASTER),
    (_TRUNCATION, "while end > 0 and left > 0:", "left > 0 -> left >= 0", "one part more than wanted"),
    (_TOKENIZER, "self.enough = self.max_length + 1", "1 -> 2", "one id more than wanted"),
    (
        _TOKENIZER,
        "if self.max_length > self.max_tokens:",
        "self.max_length > self.max_tokens -> self.max_length >= self.max_tokens",
        "no sequence is longer than max_length",
    ),
    (
        _TOKENIZER,
        "if not request.text_pair or room % 2 == 0:",
        "not request.text_pair or room % 2 == 0 -> (not request.text_pair)",
        "both texts keep half of an even room, whichever is longer",
    ),
    (
        _TOKENIZER,
        "if not request.text_pair or room % 2 == 0:",
        "room % 2 -> ((room) * (2))",
        "both texts keep half of an even room, whichever is longer",
    ),
    (_TOKENIZER, "while min(lengths) >= enough:", "min -> max", _FASTER),
    (_TOKENIZER, "enough *= 4", "4 -> 3", _LIMIT),
    (_TOKENIZER, "enough *= 4", "4 -> 5", _LIMIT),
    (
        _TRUNCATION,
        "long = short if short > room else max(short, room - short)",
        "short > room -> short >= room",
        "with nothing left of the room both are the shorter one",
    ),
    (
        _WORD_RULES,
        "if not text.isprintable() and has_controls(text):",
        "not text.isprintable() and has_controls(text) -> (has_controls(text))",
        _FASTER,
    ),
    (
        _WORD_RULES,
        'if (self._ascii_only and not text.isascii()) or not text.isprintable() or "  " in text:',
        '(self._ascii_only and not text.isascii()) or not text.isprintable() or " " in text -> '
        "(not text.isprintable() or (' ' in text))",
        "the cache of words refuses them as well",
    ),
    (
        _WORD_CACHE,
        "MAX_WORDS = 100_000  # per generation, about 150 bytes each; punctuation beside a word makes another word",
        "*",
        _LIMIT,
    ),
    (_WORD_CACHE, "MAX_WORD_CHARS = 64", "*", _LIMIT),
    (_WORD_CACHE, "self._bytes = 0", "0 -> 1", _LIMIT),
    (_WORD_CACHE, "super().__init__()", "*", "a dict is there before"),
    (
        _WORD_CACHE,
        "if self._by_pieces and is_ascii and not word.isalnum():",
        "self._by_pieces and is_ascii and not word.isalnum() -> (self._by_pieces and is_ascii)",
        _FASTER,
    ),
    (
        _PLAN,
        "lengths: NDArray[np.integer], max_batch_tokens: int, overhead_tokens: int, step: int = 1",
        "*",
        _FASTER,
    ),
    (
        _PLAN,
        "ends = np.cumsum(lengths, dtype=np.int64)",
        "np.cumsum(lengths, dtype=np.int64) -> np.cumsum(lengths)",
        "numpy sums int32 as int64; the type is for the type checker",
    ),
    (_PLAN, "places = np.flatnonzero(np.diff(groups, prepend=-1, append=-1))", "1 -> 0", _NO_LENGTH),
    (_PLAN, "places = np.flatnonzero(np.diff(groups, prepend=-1, append=-1))", "1 -> 2", _NO_LENGTH),
    (
        _LAYOUT,
        "positions = np.where(inside, starts[rows][:, None] + columns, 0)",
        "0 -> 1",
        "what is padded is not read",
    ),
    (
        _LAYOUT,
        "ids = np.where(inside, packed.ids[positions], pad_id).astype(np.int64, copy=False)",
        "np.where(inside, packed.ids[positions], pad_id).astype(np.int64, copy=False) -> "
        "np.where(inside, packed.ids[positions], pad_id).astype(np.int64)",
        _FASTER,
    ),
    (
        _LAYOUT,
        "ids = np.where(inside, packed.ids[positions], pad_id).astype(np.int64, copy=False)",
        "False -> True",
        _FASTER,
    ),
    (
        _EDGE_TOKENS,
        "if len(piece) < self._longest:",
        "len(piece) < self._longest -> len(piece) <= self._longest",
        _LIMIT,
    ),
    (
        _EDGE_TOKENS,
        "_SHORT = 16  # cuts below need no lookup in the vocabulary: nearly all tokens are shorter",
        "*",
        _LIMIT,
    ),
    *(
        (
            _EDGE_TOKENS,
            f"cuts = [n for n in range(self._longest) if n < _SHORT or _has_prefix({looked_up})]",
            "n < _SHORT -> n <= _SHORT",
            _LIMIT,
        )
        for looked_up in ("self._long, piece[seen - n :]", "self._long_reversed, piece[:n][::-1]")
    ),
    (_EDGE_TOKENS, "places = [max(0, len(part) - self._margin)]", "0 -> 1", "one character tells nothing"),
    (
        _EDGE_TOKENS,
        "whole = [piece for piece, (_, end) in pieces[:-1] if end <= len(known) - _UNSEEN]",
        "pieces[:-1] -> pieces[:]",
        "a last piece that ends early has dropped whitespace behind it, which no known tokenizer takes back",
    ),
    (
        _EDGE_TOKENS,
        "known, _ = self._normal(part[: max(places, default=0)], part)",
        "0 -> 1",
        "what the first character tells holds, and is too little",
    ),
    (
        _EDGE_TOKENS,
        "if self._rstrip and (known[:1].isspace() or part[place : place + 1].isspace()):",
        "1 -> 2",
        "of `known`: a single space belongs to the first piece, whose end is the same without it",
    ),
    (
        _EDGE_TOKENS,
        "if not known or self._holds_added(part):",
        "not known or self._holds_added(part) -> (self._holds_added(part))",
        _FASTER,
    ),
    (
        _EDGE_TOKENS,
        "return any(content in part or content in lowered for content in self._added)",
        "content in part or content in lowered -> ((content in part))",
        "the normalized text is searched as well",
    ),
    (
        _EDGE_TOKENS,
        "common = _common([self._ids([piece[: seen - n]]) for n in cuts]) if seen >= self._longest else []",
        "seen >= self._longest -> seen > self._longest",
        _LIMIT,
    ),
    (_EDGE_TOKENS, "first = max(1, len(part) - 4 * self._margin - 64)", "*", _LIMIT),
    (
        "workers/engine/tokenization/split_points.py",
        "content.isalnum() or len(content) > _END_OF_RUN for content in spellings",
        "len(content) > _END_OF_RUN -> len(content) >= _END_OF_RUN",
        _LIMIT,
    ),
    (
        "workers/engine/tokenization/split_points.py",
        'if model["max_input_chars_per_word"] >= _START_OF_RUN or any(',
        "model[\"max_input_chars_per_word\"] >= _START_OF_RUN -> model['max_input_chars_per_word'] > _START_OF_RUN",
        "a shortened run is longer than _START_OF_RUN",
    ),
    (
        "workers/engine/tokenization/split_points.py",
        "part = runs.sub(lambda run: run[0][0], part)",
        "0 -> 1",
        "none of a run's characters has a token",
    ),
    *(
        (_EDGE_TOKENS, "found = self._places.search(part, self._margin, 4 * self._margin + 64)", change, _LIMIT)
        for change in ("4 * self._margin -> ((4) // (self._margin))", "4 -> 3", "4 -> 5", "64 -> 63", "64 -> 65")
    ),
    (_RAGGED, "if len(parts) == 1:", "1 -> 0", _FASTER),
    (
        _HEADS,
        'vectors = torch.segment_reduce(hidden.float(), "mean", lengths=self._lengths, unsafe=True)',
        'torch.segment_reduce(hidden.float(), "mean", lengths=self._lengths, unsafe=True) -> '
        "torch.segment_reduce(hidden.float(), 'mean', lengths=self._lengths)",
        "a check that a GPU waits for",
    ),
    (
        _HEADS,
        'vectors = torch.segment_reduce(hidden.float(), "mean", lengths=self._lengths, unsafe=True)',
        "True -> False",
        "a check that a GPU waits for",
    ),
    (f"{_TASKS}/thresholds.py", "shown = max(top_k, rows[-1] + 1 if rows else 0)", "0 -> 1", "top_k is 1 at least"),
    (
        f"{_TASKS}/classification.py",
        '_PLAIN = Request("")[2:]  # the options of a request with texts only',
        "*",
        _FASTER,
    ),
    (
        f"{_TASKS}/classification.py",
        "plain = all(request[2:] == _PLAIN for request in requests)",
        "request[2:] -> request[:]",
        _FASTER,
    ),
    (f"{_TASKS}/classification.py", "plain = all(request[2:] == _PLAIN for request in requests)", "2 -> 1", _FASTER),
    (f"{_TASKS}/classification.py", "plain = all(request[2:] == _PLAIN for request in requests)", "2 -> 3", _FASTER),
    (
        f"{_TASKS}/classification.py",
        "width = len(self._description.labels) if self._independent else max(top_ks, default=1)",
        "1 -> 0",
        _NOTHING,
    ),
    (
        f"{_TASKS}/classification.py",
        "width = len(self._description.labels) if self._independent else max(top_ks, default=1)",
        "1 -> 2",
        _NOTHING,
    ),
    (f"{_TASKS}/fill_mask.py", "return Prepared(packed, max(top_ks, default=1), read, rejected)", "1 -> 0", _NOTHING),
    (f"{_TASKS}/fill_mask.py", "return Prepared(packed, max(top_ks, default=1), read, rejected)", "1 -> 2", _NOTHING),
    (f"{_TASKS}/zero_shot.py", "MAX_HYPOTHESES = 10_000  # cached hypotheses, about 200 bytes each", "*", _LIMIT),
    (
        _HEADS,
        "if self.narrowed and targets is not None:",
        "self.narrowed and targets is not None -> ((targets is not None))",
        "a layer that is whole does not look at it",
    ),
    (_LAST, "_CHECK_SHAPE = 3, 5", "*", _MADE_UP),
    (_LAST, "generator = torch.Generator().manual_seed(0)", "*", _MADE_UP),
    (
        _LAST,
        "hidden = torch.randn(*_CHECK_SHAPE, model.config.hidden_size, generator=generator).to(model.device, model.dtype)",
        "*",
        _MADE_UP,
    ),
    (
        _LAST,
        "mask = (torch.arange(width) < torch.tensor([width, width - 1, width - 2])[:, None]).to(model.device)[:, None, None]",
        "*",
        _MADE_UP,
    ),
    (_LAST, "read_at = torch.tensor([width - 1, 0, 1], device=model.device)", "*", _MADE_UP),
    (
        _LAST,
        "return bool((whole - found).abs().max() <= tolerance * whole.abs().max())",
        "(whole - found).abs().max() <= tolerance * whole.abs().max() -> (whole - found).abs().max() < tolerance * whole.abs().max()",
        _LIMIT,
    ),
    (
        _LAST,
        "attended, _ = sdpa_attention_forward(",
        "sdpa_attention_forward( parts.attention, query, key, value, mask, scaling=parts.attention.scaling ) -> "
        "sdpa_attention_forward(parts.attention, query, key, value, mask)",
        "all these families scale as torch does",
    ),
    (
        _LAST,
        'if config.model_type not in ENCODERS or config._attn_implementation != "sdpa":',
        'config.model_type not in ENCODERS or config._attn_implementation != "sdpa" -> ((config.model_type not in ENCODERS))',
        _FOUND,
    ),
    (
        _LAST,
        'if getattr(config, "is_decoder", False) or not len(layers):',
        'getattr(config, "is_decoder", False) or not len(layers) -> (not len(layers))',
        _FOUND,
    ),
    (
        _LAST,
        "return hidden[torch.arange(hidden.shape[0], device=hidden.device), read_at][:, None]",
        "torch.arange(hidden.shape[0], device=hidden.device) -> torch.arange(hidden.shape[0])",
        "on a CPU",
    ),
    (f"{_TASKS}/fill_mask.py", "sequences = split(packed, 1, 1)", "*", "each sequence is a part by itself in any case"),
)
