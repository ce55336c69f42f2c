"""The textbook server: FastAPI around `transformers.pipeline`. Arguments: model and port."""

import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from labelstream.deploy.bench.baselines.transformers_pipeline import CLASSIFICATION, make_pipeline


class Body(BaseModel):
    inputs: list[str]


def main() -> None:
    source, port = sys.argv[1:]
    pipeline = make_pipeline(source, CLASSIFICATION, torch.device("cpu"), None)
    app = FastAPI()

    @app.post("/predict")
    def predict(body: Body) -> list[dict[str, str | float]]:
        return pipeline(body.inputs, truncation=True)

    @app.get("/health")
    def health() -> None:
        pass

    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
