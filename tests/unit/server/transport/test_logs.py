from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from otagate.server.transport import logs
from support.loggers import restored

Lines = Callable[[str], tuple[logging.Logger, io.StringIO]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    def make(log_format: str) -> tuple[logging.Logger, io.StringIO]:
        stream = io.StringIO()
        return logs.set_up(log_format, stream), stream

    with restored():
        yield make


def test_a_json_line_holds_known_fields_and_no_other(lines: Lines) -> None:
    log, stream = lines("json")
    log.info("answered", extra={"status": 404, "route": "updates", "note": None, "device_id": "secret", "client": "192.0.2.1"})
    values = json.loads(stream.getvalue())
    assert values.pop("time").endswith("Z")
    assert values == {"level": "info", "event": "answered", "status": 404, "route": "updates"}


def test_a_text_line_is_one_line(lines: Lines) -> None:
    log, stream = lines("text")
    log.warning("worker_died", extra={"worker": 2, "detail": 'two\nlines="x"'})
    assert stream.getvalue().count("\n") == 1
    assert ' warning worker_died worker=2 detail="two\\\\x0alines=\\"x\\""\n' in stream.getvalue()


def test_a_sentence_is_a_message(lines: Lines) -> None:
    log, stream = lines("json")
    log.error("the store of %s was not reached", "com.example\x1b[2J")
    values = json.loads(stream.getvalue())
    assert (values["event"], values["message"]) == ("message", "the store of com.example\\x1b[2J was not reached")


def test_an_exception_is_its_kind_and_its_place_without_its_words(lines: Lines) -> None:
    log, stream = lines("json")
    try:
        int("6ba7b810-secret")
    except ValueError:
        log.exception("reading_failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application for 6ba7b810-secret")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["error"], second["event"], second["error"]) == ("ValueError", "handler_failed", "ValueError")
    assert "test_logs.py:" in first["at"]
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("error", [RuntimeError("secret"), None])
def test_what_a_loop_could_not_give_to_anybody_is_logged(lines: Lines, error: RuntimeError | None) -> None:
    _, stream = lines("json")
    logs.loop_failed(None, {"message": "secret", "exception": error})
    values = json.loads(stream.getvalue())
    assert (values["event"], values.get("error")) == ("loop_error", type(error).__name__ if error else None)
    assert "secret" not in stream.getvalue()


def test_a_flood_is_cut_and_counted() -> None:
    at = [0.0]
    quota = logs.Quota(2, clock=lambda: at[0])
    record = logging.LogRecord("a", logging.ERROR, "", 1, "x", None, None)
    assert [quota.filter(record) for _ in range(5)] == [True, True, False, False, False]
    assert not hasattr(record, "left_out")
    at[0] = 1.0
    assert quota.filter(record)
    assert record.__dict__["left_out"] == 3
    worst = logging.LogRecord("a", logging.CRITICAL, "", 1, "x", None, None)
    assert [quota.filter(worst) for _ in range(5)] == [True] * 5
    assert not hasattr(worst, "left_out")


def test_other_parts_of_a_server_write_the_same_lines(lines: Lines) -> None:
    _, stream = lines("json")
    logging.getLogger("otagate.telemetry.intake").warning("slow", extra={"duration_ms": 3})
    logging.getLogger("otagate.telemetry.intake").debug("never")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["slow"]
