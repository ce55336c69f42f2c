"""The JSON bodies of the Open Inference Protocol V2."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, StrictStr

_NULL_IS_EMPTY = BeforeValidator(lambda value: {} if value is None else value)
Size = Annotated[StrictInt, Field(ge=0, lt=2**31)]
MAX_PARTS = 16  # inputs, outputs, or dimensions of a shape


class _Parameters(BaseModel):
    """Parameters of other servers have no effect."""

    model_config = ConfigDict(extra="allow")


class RequestParameters(_Parameters):
    top_k: Annotated[StrictInt, Field(ge=1)] | None = Field(default=None, description="Number of labels, best first.")
    hypothesis_template: StrictStr | None = Field(default=None, description="For zero-shot models.")
    multi_label: StrictBool | None = Field(default=None, description="For zero-shot models.")
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = Field(
        default=None, description="For classifiers: function from logits to scores; `none` gives logits."
    )
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="For embedding models: numbers of a vector that are kept, from its first on."
    )
    normalize: StrictBool | None = Field(
        default=None, description="For embedding models: whether vectors are scaled to length 1."
    )
    binary_data_output: StrictBool = Field(default=False, description="All outputs come as binary data.")


class InputParameters(_Parameters):
    binary_data_size: Size | None = Field(default=None, description="Bytes of this input behind the JSON.")


class OutputParameters(_Parameters):
    binary_data: StrictBool | None = Field(default=None, description="This output comes as binary data.")


class InputTensor(BaseModel):
    """Texts, as `data` or as binary data behind the JSON."""

    name: StrictStr
    shape: list[Size] = Field(max_length=MAX_PARTS)
    datatype: StrictStr
    parameters: Annotated[InputParameters, _NULL_IS_EMPTY] = InputParameters()
    data: list[Any] | None = None


class RequestedOutput(BaseModel):
    name: StrictStr
    parameters: Annotated[OutputParameters, _NULL_IS_EMPTY] = OutputParameters()


class InferRequest(BaseModel):
    id: StrictStr | None = None
    parameters: Annotated[RequestParameters, _NULL_IS_EMPTY] = RequestParameters()
    inputs: list[InputTensor] = Field(min_length=1, max_length=MAX_PARTS)
    outputs: Annotated[
        list[RequestedOutput], Field(max_length=MAX_PARTS), BeforeValidator(lambda value: value or [])
    ] = []


class OutputTensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(BaseModel):
    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    name: str
    versions: list[str]
    platform: str = "labelstream"
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Ready(BaseModel):
    ready: bool


class ModelReady(Ready):
    name: str


class ServerMetadata(BaseModel):
    name: str = "labelstream"
    version: str
    extensions: list[str] = ["binary_tensor_data"]


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `model` without references, for a place in an OpenAPI description."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(one) for one in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return inlined(definitions[part["$ref"].rpartition("/")[2]])
        return {name: inlined(one) for name, one in part.items() if name != "default"}

    return inlined(schema)
