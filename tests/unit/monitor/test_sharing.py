from __future__ import annotations

from trackd_agent.monitor.sharing import Shared


def test_a_value_lives_as_long_as_somebody_wants_it() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    shared = Shared(make)
    assert shared.get("a", ["first"]) == shared.get("a", ["second"]) == "A"
    assert shared.get("b", ["first"]) == "B"
    assert shared.values() == ["A", "B"]
    assert shared.forget("first") == ["B"]
    assert shared.peek("b") is None
    assert shared.forget("second") == ["A"]
    assert shared.forget("nobody") == []
    assert made == ["a", "b"]


def test_all_values_go_at_the_end() -> None:
    shared = Shared(str.upper)
    shared.get("a", ["first", "second"])
    assert shared.clear() == ["A"]
    assert len(shared) == 0
    assert shared.forget("first") == []
