"""Sends requests with KServe's own client to a gateway, and prints what came back as one JSON object.

Runs in an environment with kserve alone: `python kserve_requests.py URL MODEL TEXT TEXT`.
"""

import asyncio
import json
import sys
from typing import Any

import httpx  # pyright: ignore[reportMissingImports]
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # pyright: ignore[reportMissingImports]
from kserve.protocol.infer_type import RequestedOutput  # pyright: ignore[reportMissingImports]


async def ask(url: str, model: str, texts: list[str]) -> dict[str, Any]:
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    try:
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, model),
            "unknown_ready": await client.is_model_ready(url, "other"),
            "json": await _infer(client, url, model, texts, False),
            "binary": await _infer(client, url, model, texts, True),
            "error": await _error(client, url),
        }
    finally:
        await client.close()


async def _infer(client: Any, url: str, model: str, texts: list[str], binary: bool) -> dict[str, Any]:
    text = InferInput("text", [len(texts)], "BYTES")
    text.set_data_from_numpy(np.array([one.encode() for one in texts], np.object_), binary_data=binary)
    outputs = [RequestedOutput(name, {"binary_data": binary}) for name in ("label", "score")]
    request = InferRequest(model, [text], request_id="r-1", request_outputs=outputs, parameters={"top_k": 2})
    response = await client.infer(url, request, model_name=model)
    label, score = (response.get_output_by_name(name) for name in ("label", "score"))
    labels = [[one if isinstance(one, str) else one.decode() for one in row] for row in label.as_numpy().tolist()]
    return {"id": response.id, "labels": labels, "scores": score.as_numpy().tolist()}


async def _error(client: Any, url: str) -> str:
    try:
        await client.infer(url, {"inputs": []}, model_name="other")
    except httpx.HTTPStatusError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(sys.argv[1], sys.argv[2], sys.argv[3:]))))
