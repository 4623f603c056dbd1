"""Secrets: what prints, traces and logs them has stars in their place, and the other side gets them whole."""

from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from actors.runtime import (
    HIDDEN,
    Actor,
    ActorSystem,
    DecodeError,
    EncodeError,
    FrozenDict,
    Immutable,
    Secret,
    TraceWriter,
    carrier,
    hide_secrets_in_logs,
    masked,
    message,
    pack,
    pack_value,
    read_trace,
    receive,
    redacted,
    secret,
    unpack,
    unpack_payload,
    unpack_value,
)
from actors.runtime.codec.envelope import payload_of

WORD = "hunter2-is-a-bad-password"


@message
class Login:
    """One with a Secret."""

    user: str
    password: Secret
    others: tuple[tuple[str, Secret], ...] = ()
    by_name: FrozenDict[Secret] = FrozenDict()
    maybe: Secret | None = None
    either: Secret | int = 0
    anything: Immutable = None


@message
class Marked:
    """One with a marked field."""

    user: str
    password: str = secret()


@message
class Wrapped:
    """One that carries others."""

    packed: bytes
    many: tuple[bytes, ...] = ()
    anything: Immutable = None
    inner: Marked | None = None


@message
class Carrier:
    """One that says how it is to be shown."""

    data: bytes = carrier(len)


LOGIN = Login(
    "ann",
    Secret(WORD),
    (("a", Secret(WORD)),),
    FrozenDict({"b": Secret(WORD)}),
    Secret(WORD),
    Secret(WORD),
    (Secret(WORD), FrozenDict({"c": Secret(WORD)})),
)


@pytest.fixture
def unknown(monkeypatch):
    """No text is searched for: only what fields say of themselves hides anything."""
    monkeypatch.setattr("actors.runtime.codec.secrets._known", {})


def test_a_secret_is_shown_to_nobody_who_does_not_ask():
    one = Secret(WORD)
    for shown in (
        repr(one),
        str(one),
        f"{one}",
        f"{one:>5}",
        "{}".format(one),  # noqa: UP032
        repr(LOGIN),
        repr((one,)),
        repr({"a": one}),
    ):
        assert WORD not in shown
        assert HIDDEN in shown
    assert one.reveal() == WORD
    assert (Secret(one), hash(Secret(one))) == (one, hash(one))
    assert one != Secret("other")
    assert one != WORD
    assert bool(one)
    assert not Secret("")


def test_a_secret_cannot_change_nor_be_pickled_nor_hold_anything_but_text():
    one = Secret(WORD)
    with pytest.raises(AttributeError):
        one._value = "x"
    with pytest.raises(AttributeError):
        del one._value
    with pytest.raises(TypeError):
        pickle.dumps(one)
    with pytest.raises(TypeError, match="holds text, not a bytes") as told:
        Secret(WORD.encode())  # type: ignore[arg-type]
    assert WORD not in str(told.value)


def test_the_other_side_gets_secrets_whole():
    assert unpack(pack(LOGIN)).message == LOGIN
    assert unpack(pack(Secret(WORD))).message.reveal() == WORD
    assert unpack_value(Login, pack_value(LOGIN)) == LOGIN


def test_errors_of_the_codec_do_not_quote_secrets():
    with pytest.raises(EncodeError) as refused:
        pack(Login("ann", WORD))  # type: ignore[arg-type]
    assert WORD not in str(refused.value)
    with pytest.raises(DecodeError) as told:
        unpack(
            pack(LOGIN).replace(b"\xa8password\xb9" + WORD.encode(), b"\xa8password\xc4\x19" + WORD.encode())
        )
    assert WORD not in str(told.value)
    assert "secret" in str(told.value)


@pytest.mark.parametrize(
    "told",
    [
        LOGIN,
        Marked("ann", WORD),
        (Marked("ann", WORD), Secret(WORD)),
        Wrapped(pack(LOGIN)),
        Wrapped(pack(Marked("ann", WORD))),
        Wrapped(b"", (pack(LOGIN), pack(Wrapped(pack(LOGIN))))),
        Wrapped(b"", anything=(pack(LOGIN), LOGIN)),
        Wrapped(b"", inner=Marked("ann", WORD)),
        Wrapped(pack((Secret(WORD), frozenset({Secret(WORD)}), FrozenDict({"a": Secret(WORD)}), LOGIN))),
        Wrapped(pack(Wrapped(b"", anything=LOGIN))),
        Wrapped(pack(Carrier(WORD.encode()))),
        Wrapped(pack(LOGIN)[:-3]),
    ],
    ids=range(12),
)
@pytest.mark.usefixtures("unknown")
def test_a_trace_shows_stars_wherever_a_secret_travels(told):
    payload = payload_of(told)
    assert WORD.encode() not in payload
    unpack_payload(payload)


@pytest.mark.usefixtures("unknown")
def test_what_is_not_secret_is_traced_as_it_is():
    assert redacted(pack(Marked("ann", WORD))) == pack(Marked("ann", HIDDEN))
    for data in (b"", b"\x95", b"\x95\x01", b"plain", pack("text"), pack((1, "a"))):
        assert redacted(data) in {data, b"(%d bytes)" % len(data)}
    assert unpack_payload(payload_of(Carrier(b"four"))) == {"data": 4}
    assert "four" not in repr(Carrier(b"four"))
    unknown = pack(Marked("ann", WORD)).replace(b"Marked", b"Warped")
    assert redacted(unknown) == unknown  # no class says what of it is secret
    within = pack((Marked("ann", WORD), 1)).replace(b"Marked", b"Warped")
    assert redacted(within) in {within, b"(%d bytes)" % len(within)}


def test_known_secrets_are_overwritten_in_whatever_is_traced_or_logged():
    Secret(WORD)
    assert masked(f"GET /?key={WORD}: refused") == "GET /?key=***: refused"
    payload = payload_of(("why", f"GET /?key={WORD}"))
    assert WORD.encode() not in payload
    assert len(payload) == len(payload_of(("why", "GET /?key=" + "x" * len(WORD))))
    assert WORD.encode() not in payload_of(ValueError(f"no such key: {WORD}"))


def test_short_secrets_are_not_searched_for():
    Secret("abc")
    assert masked("abcdef") == "abcdef"
    Secret("pqrs")
    assert masked("pqrstu") == "***tu"


def test_logs_show_stars(capsys):
    handler = logging.StreamHandler()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        hide_secrets_in_logs()
        Secret(WORD)
        try:
            raise ValueError(f"wrong: {WORD}")
        except ValueError:
            logging.getLogger("mine").exception("refused %s", WORD)
    finally:
        root.removeHandler(handler)
    told = capsys.readouterr().err
    assert "refused ***" in told
    assert "ValueError: wrong: ***" in told
    assert WORD not in told


class Gossip(Actor):
    @receive
    def on_login(self, login: Login) -> Any:
        raise RuntimeError(f"I was told {login.password.reveal()}")


async def test_the_trace_file_is_for_its_owner_only_and_holds_no_secret(tmp_path):
    file = tmp_path / "a.trace"
    file.write_bytes(b"")
    file.chmod(0o644)
    Secret(WORD)
    async with ActorSystem("t", trace=TraceWriter(file, "t")) as system:
        gossip = system.spawn(Gossip)
        with pytest.raises(RuntimeError):
            await gossip.ask(LOGIN, block=False)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [record.type for record in read_trace(file)].count("tests.runtime.test_secrets:Login") == 1
    assert WORD.encode() not in file.read_bytes()
