"""`check --markdown` and `--slack`: what a chat makes of it: bold, code and lists alone, whatever names stand in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from redis_oom_tui.cli.main import main
from redis_oom_tui.formatting.chat import ChatForm, chat_text_of
from redis_oom_tui.models.verdict import Finding, Level, Verdict
from tests.rules.snapshots import MIB, snapshot_of
from tests.support.servers import RunningServer

ALLOWED = {
    *("text", "code_inline", "strong_open", "strong_close", "paragraph_open", "paragraph_close", "softbreak", "inline"),
    *("bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close"),
}


def kinds(text: str) -> set[str]:
    """What a reader of Markdown finds in it, links that are made unasked among it."""
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    return {each.type for token in tokens for each in (token, *(token.children or ()))}


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(str(ended.value.code)), capsys.readouterr().out


def test_a_full_server_in_a_chat(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    with server.client() as client:
        for number in range(300):
            client.set(f"cache:{number}", b"x" * 10_000, ex=3600)
        client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 0.9))
    code, out = ran(capsys, "check", "--markdown", "-s", server.socket_path)
    assert code == 2
    first, blank, *items = out.splitlines()
    assert first.startswith("**OOM**: Refusing writes at ")
    assert blank == ""
    assert all(item.startswith("- ") for item in items)
    assert items[0].startswith(f"- `unix:{server.socket_path}` ")
    assert any(item.startswith("- **Next**: ") for item in items)
    assert any(item.startswith("- **To confirm**: `") for item in items)
    assert any(item.startswith(("- **warning**: ", "- **critical**: ")) for item in items)
    assert kinds(out) <= ALLOWED
    assert not {"\\", "#"} & set(out)


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        (ChatForm.MARKDOWN, "**OK**: Full of `user:*`.", "- **Next**: Look at `user:*`."),
        (ChatForm.SLACK, "*OK*: Full of `user:*`.", "• *Next*: Look at `user:*`."),
        (ChatForm.PLAIN, "OK: Full of user:*.", "- Next: Look at user:*."),
    ],
)
def test_the_same_in_each_form(form: ChatForm, first: str, second: str) -> None:
    verdict = Verdict(Level.OK, "Full of user:*.", "x", first_step="Look at user:*.")
    assert chat_text_of(verdict, form=form).splitlines() == [first, "", second]


def test_slack_on_the_command_line(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = ran(capsys, "check", "--slack", "-s", server.socket_path)
    first, _, figures, *_ = out.splitlines()
    assert code == 0
    assert first.startswith("*OK*: ")
    assert figures.startswith(f"• `unix:{server.socket_path}` ")


def test_one_form_at_a_time(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    code, out = ran(capsys, "check", "--slack", "--markdown", "-s", f"{tmp_path}/none")
    assert (code, out) == (3, "UNKNOWN: --slack cannot be given with --markdown: each is a form of its own\n")


def test_no_answer(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    code, out = ran(capsys, "check", "--markdown", "-s", f"{tmp_path}/none")
    assert (code, len(out.splitlines())) == (3, 1)
    assert out.startswith("**UNKNOWN**: ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("user:*", "`user:*`"),
        ("<other>,", "`<other>`,"),
        ("(a_b)", "(`a_b`)"),
        ("http://evil.example/x", "`http://evil.example/x`"),
        ("![x](y)", "`![x](y`)"),
        ("`rm`", "`'rm'`"),
        ("plain:1", "plain:1"),
        (":fire:", "`:fire`:"),
        ("~1.2", "~1.2"),
        ("a\\b", "`a\\b`"),
        ("&amp;", "`&amp`;"),
    ],
)
def test_a_word_that_could_be_markup_is_code(name: str, shown: str) -> None:
    assert ChatForm.MARKDOWN.text(f"keys of {name} too") == f"keys of {shown} too"


@pytest.mark.parametrize("name", ["<!channel>", "@here", "<@U123>", "a@everyone", "x<!here|y>"])
def test_no_name_calls_anybody(name: str) -> None:
    text = ChatForm.MARKDOWN.text(f"keys of {name}")
    assert "`" in text
    assert not any(call in text for call in ("<!", "<@", "@here", "@everyone", "@channel"))
    assert text.replace("\u200b", "").replace("`", "").endswith(name)


NAMES = st.text(st.sampled_from("*_`~<>&|[]()!@#\\:/ .-+=ab1\n\t\u202e\U0001f600"), min_size=1, max_size=20)


@given(NAMES, NAMES)
@settings(max_examples=150, deadline=None)
def test_no_name_becomes_markup(name: str, other: str) -> None:
    finding = Finding(
        "x", Level.WARNING, f"The pattern {name} holds it", f"Look at {other} first.", saves_bytes=(1, MIB)
    )
    text = chat_text_of(
        Verdict(Level.OK, f"At 83%, as {other} has it.", "x"), snapshot_of(), (finding,), (f"{name} was lost",)
    )
    assert kinds(text) <= ALLOWED
    assert len([line for line in text.splitlines() if line.startswith("- ")]) == 3
    assert text.count("\n") == 4


def test_many_findings_are_counted() -> None:
    findings = tuple(Finding(f"f{number}", Level.WARNING, f"Title {number}", "Advice.") for number in range(9))
    text = chat_text_of(Verdict(Level.OK, "Healthy.", "healthy"), None, findings)
    assert text.endswith("- **warning**: Title 4. Advice.\n- and 4 more findings")
