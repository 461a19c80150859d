"""The whole API against its own description: whatever is sent, no 5xx, and every answer is of the form it promises."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from serving import Gateway

from gateway.permissions import PERMISSIONS

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
]  # fmt: skip


class Api:
    """A gateway with a ticket in it, and a key that may do everything."""

    def __init__(self, gateway: Gateway) -> None:
        (row,) = gateway.json("keys", "add", "all", *(part for scope in PERMISSIONS for part in ("--scope", scope)))
        secret = next(value for name, value in row.items() if name.startswith("secret"))
        self.url, self.log = f"http://127.0.0.1:{gateway.http}", gateway.log
        self.headers = {"authorization": f"Bearer {secret}"}
        self.numbers = [self._written(n) for n in range(3)]

    def _written(self, n: int) -> str:
        said = {"from": {"email": f"a{n}@example.cn"}, "text": "退款"}
        made = httpx.post(f"{self.url}/api/v1/tickets", json=said, headers=self.headers).raise_for_status()
        return str(made.json()["tickets"][0])


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with Gateway(tmp_path_factory.mktemp("gateway"), outbound="off") as running:
        yield Api(running)


def test_every_answer_is_as_described(api: Api) -> None:
    described = schemathesis.openapi.from_url(f"{api.url}/api/openapi.json")
    asked = set()
    for found in described.exclude(path="/api/v1/events").get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def check(case: schemathesis.Case) -> None:
            if "number" in case.path_parameters and case.path_parameters["number"][:1] < "M":  # half reach a ticket
                case.path_parameters["number"] = api.numbers[0]
            asked.add((case.method, case.path, case.call_and_validate(headers=api.headers, checks=CHECKS).status_code))

        check()
    assert len({(method, path) for method, path, _ in asked}) > 12
    assert {200, 404, 422} <= {status for *_, status in asked}


def test_no_request_left_a_traceback(api: Api) -> None:
    """Runs last in this file."""
    assert "Traceback" not in api.log.read_text()


def test_every_error_is_a_problem(api: Api) -> None:
    for method, path, status in (
        ("GET", "/api/v1/nothing", 404), ("DELETE", "/api/v1/tickets", 405), ("GET", "/api/v1/tickets/1%0A2", 404),
        ("GET", "/api/v1/tickets?limit=x", 422), ("POST", "/api/v1/tickets/1/comments", 422),
    ):  # fmt: skip
        answer = httpx.request(method, api.url + path, headers=api.headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
    assert httpx.delete(f"{api.url}/api/v1/tickets", headers=api.headers).headers["allow"] == "GET, POST"


def test_a_refused_value_is_not_repeated_in_the_problem(api: Api) -> None:
    answer = httpx.post(f"{api.url}/api/v1/tickets/1/links", json={"other": {"secret": "张三"}}, headers=api.headers)
    assert answer.status_code == 422
    assert "张三" not in answer.text
    assert answer.json()["problems"] == [{"where": "body.other", "what": "Input should be a valid string"}]
