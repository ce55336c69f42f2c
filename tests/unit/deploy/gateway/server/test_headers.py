from labelstream.deploy.gateway.server.headers import headers_of


def test_names_are_lower_case_and_the_last_value_counts() -> None:
    scope = {"headers": [(b"Host", b"a"), (b"host", b"b"), (b"x-text", "é".encode("latin-1"))]}

    assert headers_of(scope) == {"host": "b", "x-text": "é"}
