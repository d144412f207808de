from __future__ import annotations

from dataclasses import dataclass, field

from otagate.fleet.bundles import Bundles
from otagate.fleet.opening import Opened
from otagate.fleet.replies import BUILTIN

GOOD = Opened("d", {"index.html": "h"})


@dataclass
class Heard:
    events: list[tuple[str, str, str]] = field(default_factory=list)

    def tell(self, action: str, version: str, old: str) -> None:
        self.events.append((action, version, old))


def device(*held: str, tells: bool = True) -> tuple[Bundles, list[tuple[str, str, str]]]:
    heard = Heard()
    bundles = Bundles(heard.tell, "5.0.0", tells_set_next=tells, tells_deletes=tells)
    bundles.held.update(dict.fromkeys(held, GOOD))
    return bundles, heard.events


def test_a_bundle_is_set_and_proven_and_the_one_before_goes() -> None:
    bundles, events = device("1.0.0", "2.0.0")
    bundles.queue("1.0.0")
    assert bundles.set("1.0.0", 10.0)
    assert (bundles.running, bundles.is_proven, bundles.next, bundles.set_at) == ("1.0.0", False, None, 10.0)
    bundles.prove()
    assert bundles.set("2.0.0", 20.0)
    bundles.prove()
    assert events == [
        ("set_next", "1.0.0", "5.0.0"),
        ("set", "1.0.0", "5.0.0"),
        ("set", "2.0.0", "1.0.0"),
        ("delete", "1.0.0", ""),
    ]
    assert set(bundles.held) == {"2.0.0"}
    assert bundles.fallback == "2.0.0"


def test_a_bundle_that_is_not_ready_goes_back_to_the_last_good_one() -> None:
    bundles, events = device("1.0.0", "2.0.0")
    bundles.set("1.0.0", 0)
    bundles.prove()
    bundles.set("2.0.0", 0)
    bundles.next = "2.0.0"
    del events[:]
    assert bundles.revert(5.0, delete_failed=True) == "2.0.0"
    assert events == [("update_fail", "2.0.0", ""), ("set", "1.0.0", "5.0.0"), ("delete", "2.0.0", "")]
    assert (bundles.running, bundles.is_proven, bundles.failed) == ("1.0.0", False, {"2.0.0"})
    assert not bundles.next


def test_without_a_last_good_one_the_built_in_runs() -> None:
    bundles, events = device("2.0.0")
    bundles.set("2.0.0", 0)
    bundles.revert(5.0, delete_failed=False)
    assert (bundles.running, bundles.is_proven) == (BUILTIN, True)
    assert set(bundles.held) == {"2.0.0"}
    assert events[-1] == ("update_fail", "2.0.0", "")


def test_going_back_to_the_built_in_bundle() -> None:
    bundles, events = device("1.0.0")
    bundles.set("1.0.0", 0)
    bundles.prove()
    assert not bundles.set(BUILTIN, 3.0)
    assert events[-1] == ("reset", "5.0.0", "1.0.0")
    assert (bundles.running, bundles.fallback, bundles.running_name) == (BUILTIN, BUILTIN, "5.0.0")


def test_a_bundle_that_is_not_there_cannot_be_set() -> None:
    bundles, events = device()
    bundles.held["3.0.0"] = Opened("", {"a.js": ""})
    for version in ("2.0.0", "3.0.0"):
        assert not bundles.set(version, 0)
        assert events[-1] == ("set_fail", version, "")
        assert version in bundles.failed
    assert bundles.running == BUILTIN


def test_older_plugins_say_less() -> None:
    bundles, events = device("1.0.0", "2.0.0", tells=False)
    for version in ("1.0.0", "2.0.0"):
        bundles.queue(version)
        bundles.set(version, 0)
        bundles.prove()
    assert [action for action, _version, _old in events] == ["set", "set"]
