from fastapi import FastAPI

from labelstream.deploy.gateway.server.openapi import with_token


def test_operations_but_open_ones_need_the_token() -> None:
    app = FastAPI()
    app.get("/health")(lambda: {})
    app.post("/score")(lambda: {})
    found = with_token(app.openapi, {"/health", "/"})()
    assert found["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert found["security"] == [{"token": []}]
    assert found["paths"]["/health"]["get"]["security"] == []
    assert "security" not in found["paths"]["/score"]["post"]
