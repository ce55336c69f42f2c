from labelstream.deploy.gateway.server.api_page import render

OPENAPI = {
    "paths": {
        "/score": {
            "post": {
                "description": "Classify <texts>.",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Score"}}}},
            }
        },
        "/ping": {"get": {"summary": "Ping"}},
    },
    "components": {"schemas": {"Score": {"properties": {"input_data": {}}}}},
}


def test_page_shows_each_request_with_its_body() -> None:
    page = render(OPENAPI)

    assert "POST /score" in page
    assert "Classify &lt;texts&gt;." in page
    assert "input_data" in page
    assert "GET /ping" in page


def test_page_loads_nothing() -> None:
    page = render(OPENAPI)

    assert "src=" not in page
    assert "://" not in page
    assert "<script" not in page
